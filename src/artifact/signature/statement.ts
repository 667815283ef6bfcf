// What a signature of an artifact says: an in-toto statement of its digest and kind.
import { z } from 'zod';
import { type Payload, parseOnce } from './dsse.ts';

const payloadType = 'application/vnd.in-toto+json';
const predicateType = 'https://offsite-tuning.dev/artifact/v1';

/** An artifact is its manifest's digest, which binds files, bundle, hyperparameters and scores. */
export interface Subject {
  /** `sha256:` and 64 hexadecimal digits. */
  readonly digest: string;
  readonly kind: string;
}

/** The first is ours; tools that sign with in-toto's first version write the other. */
const types = ['https://in-toto.io/Statement/v1', 'https://in-toto.io/Statement/v0.1'] as const;

/** The statement of an artifact: `manifest.json` has this sha256. */
export const statementOf = (subject: Subject): Payload => ({
  type: payloadType,
  body: Buffer.from(textOf(types[0], subject)),
});

const textOf = (_type: (typeof types)[number], { digest, kind }: Subject): string =>
  JSON.stringify({
    _type,
    subject: [{ name: 'manifest.json', digest: { sha256: digest.slice('sha256:'.length) } }],
    predicateType,
    predicate: { kind },
  });

const statementSchema = z.object({
  _type: z.enum(types),
  subject: z.array(z.object({ digest: z.object({ sha256: z.string() }) })).length(1),
  predicateType: z.literal(predicateType),
  predicate: z.object({ kind: z.string() }),
});

/**
 * Whether a statement, which has been found to be signed, is of this very artifact.
 * @throws Error that says of what else it is
 */
export function checkStatement({ type, body }: Payload, { digest, kind }: Subject): void {
  if (type !== payloadType) throw new Error('is a signature of something else than an artifact');
  const statement = statementSchema.safeParse(parseOnce(body));
  if (!statement.success) throw new Error('is a signature of something else than an artifact');
  const { subject, predicate } = statement.data;
  const signed = `sha256:${subject[0]?.digest.sha256}`;
  if (signed !== digest) throw new Error(`is the signature of another artifact, ${signed}`);
  if (predicate.kind !== kind)
    throw new Error(`is the signature of an artifact of kind ${predicate.kind}, and this is of kind ${kind}`);
}

/** Whether a statement of this artifact, as it is written, says that and nothing else: whoever made it, we may sign it, too. */
export function saysNoMore({ body }: Payload, subject: Subject): boolean {
  const text = Buffer.from(body).toString('utf8').replace(/\s/g, '');
  return types.some((type) => text === textOf(type, subject));
}
