// The signature beside an artifact's manifest: written, and checked before anything is made of the artifact.
import type { KeyObject } from 'node:crypto';
import { lstatSync, realpathSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { badModel, OffsiteError } from '../../api/index.ts';
import { boundedBytes } from '../bounded-file.ts';
import { refuseOutside } from '../confinement.ts';
import { writeWholeFrom } from '../write-whole.ts';
import {
  envelopeBounds,
  envelopeOf,
  envelopeWith,
  mostSignatures,
  openEnvelope,
  readEnvelope,
} from './dsse.ts';
import { publicKeyOf } from './keys.ts';
import { checkStatement, type Subject, saysNoMore, statementOf } from './statement.ts';

/** Beside manifest.json, and in no manifest: an artifact has the same digest with and without it. */
export const signatureName = 'manifest.dsse.json';

/**
 * Signs an artifact beside who has signed it already; one that this key has signed before stays as it is, since each ECDSA
 * signature has other bytes. Anything else there goes. No name in the artifact but its own is used for it: a temporary file of a
 * killed process would be no file of the artifact. Half a first signature is none.
 * @throws OffsiteError BadModel where those that are there take no other beside them, Error of the system where they cannot be read:
 * they stay
 */
export function signArtifact(directory: string, subject: Subject, key: KeyObject): void {
  const path = join(directory, signatureName);
  if (isSignedBy(directory, subject, key)) return;
  const there = signatureThere(directory, subject);
  if (there !== undefined) {
    const { payload } = readEnvelope(there);
    const text = saysNoMore(payload, subject) ? envelopeWith(there, key) : undefined;
    if (text === undefined)
      throw badModel(
        `${path}: holds signatures of this very artifact beside which no other can stand (of a statement that names digest and kind alone ${mostSignatures} are read, in ${envelopeBounds.bytes} bytes), and they are not written over: take out of it those that nobody asks for, or move it away`,
      );
    writeWholeFrom(`${realpathSync(directory)}.result.json`, path, text);
    return;
  }
  refuseOutside(path);
  // No look sees an empty directory of that name.
  if (lstatSync(path, { throwIfNoEntry: false })?.isDirectory()) rmdirSync(path);
  rmSync(path, { force: true });
  writeFileSync(path, envelopeOf(statementOf(subject), key), { flag: 'wx', flush: true });
}

function isSignedBy(directory: string, subject: Subject, key: KeyObject): boolean {
  try {
    checkSignature(directory, subject, [publicKeyOf(key)]);
    return true;
  } catch (error) {
    throwUnread(error);
    return false;
  }
}

/** What is there and cannot be read may be somebody's signature: it is not taken for none, and not written over. */
function throwUnread(error: unknown): void {
  const { code } = error as NodeJS.ErrnoException;
  if (code !== undefined && code !== 'ENOENT') throw error;
}

/**
 * Whether an artifact was signed by one of these keys.
 * @returns the key
 * @throws OffsiteError BadModel: not signed, signed by others, or the signature of something else
 */
export function checkSignature(directory: string, subject: Subject, keys: readonly KeyObject[]): KeyObject {
  const path = join(directory, signatureName);
  const opened = wordsOf(path, () => openEnvelope(bytesOf(directory, path), keys));
  if (opened === undefined)
    throw badModel(`${path}: no signature in it is by this key: it was signed by another, or was changed`);
  wordsOf(path, () => checkStatement(opened.payload, subject));
  return opened.key;
}

/**
 * The signature that lies in an artifact's directory, whoever made it; undefined where there is none of this very artifact: a link is
 * none.
 * @throws Error of the system where it cannot be read
 */
export function signatureThere(directory: string, subject: Subject): Uint8Array | undefined {
  const path = join(directory, signatureName);
  try {
    if (!lstatSync(path).isFile()) return undefined;
    const bytes = bytesOf(directory, path);
    checkStatement(readEnvelope(bytes).payload, subject);
    return bytes;
  } catch (error) {
    throwUnread(error);
    return undefined;
  }
}

function bytesOf(directory: string, path: string): Uint8Array {
  let bytes: ReturnType<typeof boundedBytes>;
  try {
    bytes = boundedBytes(path, envelopeBounds.bytes);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw badModel(`${directory}: is not signed: it holds no ${signatureName}`);
  }
  if (bytes === 'too long') throw new Error(`is longer than ${envelopeBounds.bytes} bytes`);
  if (bytes === 'no file') throw new Error('is no plain file');
  return bytes;
}

/** What is wrong with the file's content, with its name. */
function wordsOf<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof OffsiteError || (error as NodeJS.ErrnoException).code !== undefined) throw error;
    throw badModel(`${path}: ${(error as Error).message}`);
  }
}
