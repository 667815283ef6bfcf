// Places in a spec: models, rows and artifacts that are read, and where outputs and work go.
import { z } from 'zod';
import { digest, inputUri, objectName, outputUri, resourceName } from './fields.ts';
import { DataFormat } from './metrics.ts';
import { type Rule, withRules } from './rules.ts';
import { signer, signingKeyRef } from './signing.ts';

const secretRef = z
  .strictObject({
    name: objectName.describe('Name of a Secret in the same namespace.'),
  })
  .optional()
  .describe('Credentials for the URI.');

const source = {
  uri: inputUri.describe('Where it lies.'),
  digest: digest.optional().describe('What it must be; anything else is refused before it is used.'),
  secretRef,
};

/** A file or directory that is read: a model, or rows whose format is given beside it. */
export const Source = z.strictObject(source);
export type Source = z.output<typeof Source>;

export const dataFormat = DataFormat.describe(
  'Columns of a row: text {text}; completion {prompt, completion}; chat {messages}; multipleChoice {question, choices, answer, context?}; preference {prompt, chosen, rejected}; the others: the published columns of that question-answering set.',
);

const data = { ...source, format: dataFormat };

/** Rows (JSON lines or Parquet: a file, or a directory of one split's shards) and how they are read. */
export const DataSource = z.strictObject(data);
export type DataSource = z.output<typeof DataSource>;

/** Training rows, and validation rows of the same format. */
export const TrainingData = z.strictObject({
  ...data,
  validation: Source.optional().describe(
    'Rows of the same format that choose the best step; without them the last step is the adapter.',
  ),
});
export type TrainingData = z.output<typeof TrainingData>;

/** An artifact that another resource made: by its name in this namespace, or by address and digest. */
export const artifactFrom = (kind: string) =>
  referred(kind, z.strictObject({ name: resourceName.describe(`Name of the ${kind}.`) }));

/** The same, where resources of several kinds make such artifacts: of the first kind when none is named. */
export const artifactFromAny = (...kinds: readonly [string, ...string[]]) =>
  referred(
    kinds.join(' or '),
    z.strictObject({
      kind: z.enum(kinds).optional().describe(`Of what kind it is; ${kinds[0]} when absent.`),
      name: resourceName.describe('Name of the resource.'),
    }),
  );

const referred = <S extends z.ZodType>(kind: string, ref: S) =>
  withRules(z.strictObject(fieldsWith(kind, ref)), ...artifactRules(kind));

/** The fields that name an artifact of a kind. */
export const artifactFields = (kind: string) =>
  fieldsWith(kind, z.strictObject({ name: resourceName.describe(`Name of the ${kind}.`) }));

const fieldsWith = <S extends z.ZodType>(kind: string, ref: S) => ({
  ref: ref.optional().describe(`An ${kind} in the same namespace; it is waited for.`),
  uri: inputUri.optional().describe('Where the artifact lies, when it was made elsewhere.'),
  digest: digest.optional().describe("The artifact's digest; required with uri."),
  secretRef,
  signer,
});

/** What holds of these fields together. */
export const artifactRules = (
  kind: string,
): readonly Rule<{ ref?: unknown; uri?: unknown; digest?: unknown }>[] => [
  {
    holds: (value) => (value.ref === undefined) !== (value.uri === undefined),
    cel: 'has(self.ref) != has(self.uri)',
    message: `must have either ref (the name of an ${kind}) or uri with digest`,
  },
  {
    holds: (value) => value.uri === undefined || value.digest !== undefined,
    cel: '!has(self.uri) || has(self.digest)',
    message: 'must be given with uri: the digest that the other party named',
    path: ['digest'],
  },
];
export type ArtifactSource = z.output<ReturnType<typeof artifactFrom>>;

const output = {
  uri: outputUri.describe('Where the artifact goes.'),
  secretRef,
  replace: z
    .boolean()
    .optional()
    .describe(
      "Whether another resource's artifact that lies there may be replaced; it is refused when absent. A resource always replaces its own.",
    ),
  signingKeyRef,
};
export const Output = z.strictObject(output);
export type Output = z.output<typeof Output>;

/** Where all goes that is not the artifact. */
export const Work = z.strictObject({
  uri: outputUri.describe(
    'A directory: each resource has its own place in it, by kind, namespace and name; pooled states are shared by what they are of.',
  ),
  secretRef,
});
export type Work = z.output<typeof Work>;

export const PlugInOutput = z.strictObject({
  ...output,
  save: z
    .enum(['model', 'adapter', 'none'])
    .default('model')
    .describe(
      'model: the plugged-in model in the hub layout (a bottleneck adapter gives none); adapter: the verified adapter; none: only the evaluation.',
    ),
});
