// The keys of a stage: what signs the artifact that it makes, and whose signatures it takes.
import type { KeyObject } from 'node:crypto';
import { join } from 'node:path';
import { badModel, badSpec, type Key, keysOf, OffsiteError, type Signer } from '../../api/index.ts';
import {
  boundedBytes,
  checkSignature,
  type Mirror,
  mostKeyBytes,
  nameOf,
  peekManifest,
  privateKeyOf,
  publicKeyOf,
  publicKeysOf,
  signArtifact,
  signatureName,
} from '../../artifact/index.ts';
import { prepares, type StageJob } from '../job.ts';
import { inputsOf, outputOf } from '../places.ts';

/** Where the file of a key lies on this machine. @throws OffsiteError BadSpec naming the field, where nobody has said so */
export type KeyPlace = (key: Key, field: string) => string;

/** Held by the main thread alone, and in no message. */
export interface StageKeys {
  readonly signing: KeyObject | undefined;
  /** By the names that references to artifacts ask for. */
  readonly signers: ReadonlyMap<string, readonly KeyObject[]>;
}

/**
 * Reads the keys before anything is fetched or computed.
 * @throws OffsiteError BadSpec naming the field, and quoting nothing of a key
 */
export function openKeys(job: StageJob, place: KeyPlace = nowhere): StageKeys {
  if (prepares(job)) return { signing: undefined, signers: new Map() };
  const { spec } = job.resource;
  const own = keysOf(spec).find(({ kind }) => kind === 'private');
  const signingField = 'spec.output.signingKeyRef';
  const signing = own && inField(signingField, () => privateKeyOf(textOf(own, place, signingField)));
  const signers = 'signers' in spec ? (spec.signers ?? []) : [];
  const keys = signers.map((signer, i) => [signer.name, keysOfSigner(signer, i, place)] as const);
  refuseShared(keys);
  return { signing, signers: new Map(keys) };
}

const nowhere: KeyPlace = ({ secret }, field) => {
  throw badSpec(`${field}: nothing says where the key of Secret ${secret} lies`);
};

function keysOfSigner({ publicKeyRef, publicKey }: Signer, i: number, place: KeyPlace): KeyObject[] {
  const field = `spec.signers[${i}].${publicKeyRef === undefined ? 'publicKey' : 'publicKeyRef'}`;
  return inField(field, () =>
    publicKeysOf(
      publicKeyRef === undefined
        ? (publicKey as string)
        : textOf({ kind: 'public', secret: publicKeyRef.name }, place, field),
    ),
  );
}

/** Under two names one party would count twice. */
function refuseShared(signers: readonly (readonly [name: string, keys: readonly KeyObject[]])[]): void {
  const owners = new Map<string, string>();
  for (const [i, [name, keys]] of signers.entries())
    for (const key of keys.map(nameOf)) {
      const owner = owners.get(key);
      if (owner !== undefined)
        throw badSpec(
          `spec.signers[${i}]: ${name} has a key of ${owner}; each signer must have keys of its own`,
        );
      owners.set(key, name);
    }
}

function textOf(key: Key, place: KeyPlace, field: string): string {
  const path = place(key, field);
  let bytes: ReturnType<typeof boundedBytes>;
  try {
    bytes = boundedBytes(path, mostKeyBytes);
  } catch (error) {
    throw new Error(`its file ${path} cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
  if (typeof bytes === 'string') throw new Error(`its file ${path} is ${bytes} for a key in PEM`);
  return Buffer.from(bytes).toString('utf8');
}

function inField<T>(field: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw error instanceof OffsiteError ? error : badSpec(`${field}: ${(error as Error).message}`);
  }
}

/**
 * Checks who signed what is read, where the spec asks for a signer, before anything is made of it.
 * @returns the job with the digests that were signed: what is opened afterwards must have them
 * @throws OffsiteError BadModel naming the field: not signed, by another, or the signature of something else
 */
export async function checkSigned(job: StageJob, { signers }: StageKeys, mirror: Mirror): Promise<StageJob> {
  const inputs = { ...job.inputs };
  for (const { role, field, path, signer, uri } of inputsOf(job)) {
    if (signer === undefined) continue;
    const expected = inputs[role]?.digest;
    // A web server lists only what a manifest names.
    await mirror.pullDocument(join(path, signatureName));
    try {
      const there = peekManifest(path);
      if (there === undefined) throw badModel(`${path}: holds no manifest.json`);
      const { digest, manifest } = there;
      checkSignature(path, { digest, kind: manifest.kind }, signers.get(signer) ?? []);
      // Of an earlier round, say, which its owner has signed as well.
      if (expected !== undefined && digest !== expected)
        throw badModel(
          `${path}: is another artifact than the one that is meant: its digest is ${digest}, expected ${expected}`,
        );
      inputs[role] = { ...inputs[role], uri, digest };
    } catch (error) {
      if (!(error instanceof OffsiteError)) throw error;
      throw badModel(`${field}.signer: ${signer} must have signed it: ${error.message}`);
    }
  }
  return { ...job, inputs };
}

/** Whether what lies at the output is this artifact, signed as the spec asks. */
export async function isSigned(
  job: StageJob,
  digest: string,
  { signing }: StageKeys,
  mirror: Mirror,
): Promise<boolean> {
  if (signing === undefined) return true;
  const output = outputOf(job);
  await mirror.pullDocument(join(output, signatureName));
  const there = peekManifest(output);
  if (there?.digest !== digest) return false;
  try {
    checkSignature(output, { digest, kind: there.manifest.kind }, [publicKeyOf(signing)]);
    return true;
  } catch {
    return false;
  }
}

/**
 * Signs what lies at the output, beside who has signed it there.
 * @param digest of the artifact that this very process has made, or has found to be its own
 * @throws OffsiteError BadModel where another lies there by now, or the signatures there take no other beside them
 */
export async function signOutput(
  job: StageJob,
  digest: string,
  key: KeyObject,
  mirror: Mirror,
): Promise<void> {
  const output = outputOf(job);
  await mirror.pullDocument(join(output, signatureName));
  const there = peekManifest(output);
  if (there?.digest !== digest)
    throw badModel(
      `spec.output.uri: ${output} was changed before it was signed; nothing was signed: run again`,
    );
  try {
    signArtifact(output, { digest, kind: there.manifest.kind }, key);
  } catch (error) {
    throw error instanceof OffsiteError ? badModel(`spec.output.uri: ${error.message}`) : error;
  }
}
