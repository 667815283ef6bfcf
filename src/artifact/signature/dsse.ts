// Signed envelopes, as DSSE 1.0.0 defines them: a payload, its type, and signatures over both.
import type { KeyObject } from 'node:crypto';
import { z } from 'zod';
import { type JsonBounds, outline, parseJson } from '../../api/index.ts';
import { isSignature, signedBy } from './keys.ts';

/** Earlier versions read no more either. */
export const mostSignatures = 8;

/** An envelope of ours has a kilobyte; others sign with certificates beside it. */
export const envelopeBounds: JsonBounds = { bytes: 1 << 16, depth: 8, values: 256, name: 256 };

/** What is signed: both, so that bytes signed as one thing are not read as another. */
export interface Payload {
  readonly type: string;
  readonly body: Uint8Array;
}

/** The pre-authentication encoding: the bytes over which signatures are made. */
export function preAuthenticated({ type, body }: Payload): Uint8Array {
  const head = `DSSEv1 ${Buffer.byteLength(type)} ${type} ${body.length} `;
  return Buffer.concat([Buffer.from(head), body]);
}

const signatureOf = (payload: Payload, key: KeyObject) => ({
  sig: signedBy(key, preAuthenticated(payload)).toString('base64'),
});

/** An envelope with one signature, as JSON. */
export const envelopeOf = (payload: Payload, key: KeyObject): string =>
  JSON.stringify({
    payload: Buffer.from(payload.body).toString('base64'),
    payloadType: payload.type,
    signatures: [signatureOf(payload, key)],
  });

const envelopeSchema = z.object({
  payload: z.string(),
  payloadType: z.string().max(256),
  signatures: z
    .array(z.object({ sig: z.string().max(1024) }))
    .min(1)
    .max(mostSignatures),
});

/**
 * What a signed envelope holds, and which of the keys has signed it; nothing is made of the payload before.
 * @returns undefined where none of its signatures is by any of the keys
 * @throws Error that says what is wrong with the envelope, and quotes nothing of it
 */
export function openEnvelope(
  bytes: Uint8Array,
  keys: readonly KeyObject[],
): { payload: Payload; key: KeyObject } | undefined {
  const { payload, signatures } = readEnvelope(bytes);
  const signed = preAuthenticated(payload);
  const key = keys.find((candidate) =>
    signatures.some((signature) => isSignature(candidate, signed, signature)),
  );
  return key && { payload, key };
}

/**
 * The same of whoever signed it: what it says is nobody's word.
 * @throws Error that says what is wrong with the envelope, and quotes nothing of it
 */
export function readEnvelope(bytes: Uint8Array): { payload: Payload; signatures: Uint8Array[] } {
  const envelope = envelopeSchema.safeParse(parseOnce(bytes));
  if (!envelope.success)
    throw new Error(`is no envelope of a payload, its type and 1 to ${mostSignatures} signatures`);
  const { payload: body, payloadType: type, signatures } = envelope.data;
  return { payload: { type, body: decoded(body) }, signatures: signatures.map(({ sig }) => decoded(sig)) };
}

/**
 * The same envelope with one signature more: all else in it stays as it is.
 * @returns undefined where no reader would take so many, or so long a text
 * @throws Error that says what is wrong with the envelope, and quotes nothing of it
 */
export function envelopeWith(bytes: Uint8Array, key: KeyObject): string | undefined {
  const { payload } = readEnvelope(bytes);
  const envelope = parseOnce(bytes) as { signatures: readonly unknown[] };
  const signatures = [...envelope.signatures, signatureOf(payload, key)];
  const text = JSON.stringify({ ...envelope, signatures });
  try {
    readEnvelope(Buffer.from(text));
    return text;
  } catch {
    return undefined;
  }
}

/**
 * JSON from outside whose outermost object has no name twice: readers differ in which of them counts.
 * @throws Error that says what is wrong, and quotes nothing
 */
export function parseOnce(bytes: Uint8Array): unknown {
  const value = parseJson(bytes, envelopeBounds);
  const { keys } = outline(bytes, envelopeBounds);
  if (new Set(keys).size < keys.length) throw new Error('has a name twice');
  return value;
}

/** No more than two, else an end that is none is looked for from each of them. */
const padding = /={1,2}$/;

/** Base64 in either alphabet, as the definition allows, and nothing that is only nearly so. */
function decoded(text: string): Uint8Array {
  const bytes = Buffer.from(text, 'base64');
  const plain = text.replaceAll('-', '+').replaceAll('_', '/').replace(padding, '');
  if (bytes.toString('base64').replace(padding, '') !== plain) throw new Error('holds what is no base64');
  return bytes;
}
