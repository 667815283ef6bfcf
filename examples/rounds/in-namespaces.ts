// A resource of these rounds as its owner applies it in a namespace of its own, where it cannot refer to what others have made:
// node examples/rounds/in-namespaces.ts NAME [MADE=LINE ...] [--bucket s3://exchange] | kubectl apply -f -
// NAME is that of the resource, such as north-2. MADE is one that it refers to and another owns, LINE what that owner has handed
// over: 'uri: "s3://...", digest: "sha256:..."', in one line (docs/aggregation.md has the command). Each namespace has a Secret
// `exchange` with its keys of the bucket, `signing` with its private.pem, and for each other that it reads from one with that one's
// public.pem, called as its namespace; and the claims that its resources name.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { parse, parseAllDocuments, stringify } from 'yaml';

export const modelOwner = 'model-owner';

/** What this needs of a manifest. */
interface Owned {
  readonly kind: string;
  readonly metadata: { readonly name: string; namespace?: string };
  readonly spec: Record<string, unknown>;
}

/** Where an artifact lies, and its digest. */
export interface Told {
  readonly uri: string;
  readonly digest: string;
}

/** Whose a resource is, by its name: `north-2` is north's, `round-2` the model owner's. The namespace is called so too. */
export function ownerOf({ kind, metadata }: Pick<Owned, 'kind' | 'metadata'>): string {
  return kind === 'OffsiteTune' ? metadata.name.replace(/-\d+$/, '') : modelOwner;
}

/** An artifact that a resource refers to. */
export interface Input {
  /** Below spec. */
  readonly path: readonly (string | number)[];
  /** The name of the resource that makes it, and its owner. */
  readonly name: string;
  readonly owner: string;
}

export function inputsOf({ spec }: Pick<Owned, 'spec'>): Input[] {
  const {
    emulator,
    start,
    adapters = [],
  } = spec as Record<string, unknown> & {
    emulator?: { ref: { name: string } };
    start?: { ref: { name: string } };
    adapters?: { ref: { name: string } }[];
  };
  return [
    ...(emulator ? [{ path: ['emulator'], name: emulator.ref.name, owner: modelOwner }] : []),
    ...(start ? [{ path: ['start'], name: start.ref.name, owner: modelOwner }] : []),
    ...adapters.map(({ ref: { name } }, i) => ({
      ...{ path: ['adapters', i], name },
      owner: ownerOf({ kind: 'OffsiteTune', metadata: { name } }),
    })),
  ];
}

/**
 * What others have made is named by address, digest and signer, in a bucket with a prefix an owner; what it makes goes there, signed.
 * @param told by the name of what another has made
 * @throws Error naming what was not told
 */
export function inNamespace<M extends Owned>(
  manifest: M,
  told: ReadonlyMap<string, Told>,
  bucket: string,
): M {
  const own = structuredClone(manifest);
  const owner = ownerOf(own);
  const { name } = own.metadata;
  own.metadata.namespace = owner;
  const foreign = inputsOf(manifest).filter((input) => input.owner !== owner);
  for (const { path, name: made, owner: from } of foreign) {
    const handedOver = told.get(made);
    if (handedOver === undefined)
      throw new Error(
        `${name} refers to ${made} of ${from}: give ${made}='uri: "...", digest: "sha256:..."'`,
      );
    const { uri, digest } = handedOver;
    set(own.spec, path, { uri, digest, signer: from, secretRef: { name: 'exchange' } });
  }
  const signers = [...new Set(foreign.map(({ owner: from }) => from))];
  if (signers.length > 0)
    own.spec['signers'] = signers.map((from) => ({ name: from, publicKeyRef: { name: from } }));
  own.spec['output'] = {
    ...(own.spec['output'] as object),
    ...{ uri: `${bucket}/from-${owner}/${name}`, secretRef: { name: 'exchange' } },
    signingKeyRef: { name: 'signing' },
  };
  // A pod that dies goes on from there; nobody else reads it.
  own.spec['work'] = { uri: 'pvc://artifacts/work' };
  return own;
}

function set(spec: Record<string, unknown>, path: Input['path'], value: object): void {
  const [field, index] = path as [string, number?];
  if (index === undefined) spec[field] = value;
  else (spec[field] as object[])[index] = value;
}

/** All resources of this example, in the order in which they are made. */
export function manifestsOfRounds(): Owned[] {
  return readdirSync(import.meta.dirname)
    .filter((file) => file.endsWith('.yaml'))
    .sort()
    .flatMap((file) => parseAllDocuments(readFileSync(join(import.meta.dirname, file), 'utf8')))
    .map((document) => document.toJS() as Owned);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { bucket: { type: 'string', default: 's3://exchange' } },
  });
  const [name, ...lines] = positionals;
  const told = new Map(
    lines.map((line) => {
      const at = line.indexOf('=');
      return [line.slice(0, at), parse(`{ ${line.slice(at + 1)} }`) as Told];
    }),
  );
  const all = manifestsOfRounds();
  const manifest = all.find(({ metadata }) => metadata.name === name);
  try {
    if (manifest === undefined)
      throw new Error(`name one of ${all.map(({ metadata }) => metadata.name).join(', ')}`);
    process.stdout.write(stringify(inNamespace(manifest, told, values.bucket)));
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = 2;
  }
}
