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

/** The statement of an artifact: `manifest.json` has this sha256. */
export function statementOf({ digest, kind }: Subject): Payload {
  const statement = {
    _type: 'https://in-toto.io/Statement/v1',
    subject: [{ name: 'manifest.json', digest: { sha256: digest.slice('sha256:'.length) } }],
    predicateType,
    predicate: { kind },
  };
  return { type: payloadType, body: Buffer.from(JSON.stringify(statement)) };
}

const statementSchema = z.object({
  // What tools write that sign with in-toto's first version.
  _type: z.enum(['https://in-toto.io/Statement/v1', 'https://in-toto.io/Statement/v0.1']),
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
