// Hashing of files larger than memory, safe against writers meanwhile.
import { createHash } from 'node:crypto';
import { type BigIntStats, closeSync, fstatSync, readSync } from 'node:fs';
import { badModel, cancelled, OffsiteError, withPath } from '../../api/index.ts';
import { openModelFile, type PlainFile } from '../plain-file.ts';

/** What a writer says of the file that it wrote: of the bytes as it had them, whatever lies there by then. */
export interface Written {
  readonly sizeBytes: number;
  readonly sha256: string;
}

let isToStop = () => false;

/** Sets what tells, for this thread, that no more of others' files is to be hashed: one may take hours. */
export function stopHashingWhere(asked: () => boolean): void {
  isToStop = asked;
}

function throwIfToStop(): void {
  if (isToStop()) throw cancelled('stopped on request');
}

/**
 * The sha256 of a file of ours, read in pieces, and what the file was meanwhile; also of one that is kept because of a stop.
 * @throws OffsiteError BadModel when it is no plain file, or is written to while it is read
 * @throws Error of the system, with the path, when it cannot be read
 */
export const hashFile = (path: string): { sha256: string; stat: BigIntStats } => hashOpened(path, () => {});

/**
 * The same of somebody else's file.
 * @param look refuses what is open by throwing, before anything is read of it
 * @throws OffsiteError BadModel also where nearly all of it is a hole, which costs its maker nothing; Cancelled
 */
export const hashForeignFile = (
  path: string,
  look: (opened: PlainFile) => void = () => {},
): { sha256: string; stat: BigIntStats } =>
  hashOpened(path, throwIfToStop, (opened) => {
    look(opened);
    if (isHole(opened))
      throw badModel(
        `${path}: nearly all of its ${opened.stat.size} bytes are a hole, with nothing on the disk`,
      );
  });

function hashOpened(
  path: string,
  beforeEach: () => void,
  look: (opened: PlainFile) => void = () => {},
): { sha256: string; stat: BigIntStats } {
  const opened = openModelFile(path);
  const { descriptor, stat } = opened;
  try {
    look(opened);
    const sha256 = hashDescriptor(descriptor, stat, beforeEach);
    const after = fstatSync(descriptor, { bigint: true });
    if (after.size !== stat.size || after.mtimeNs !== stat.mtimeNs)
      throw badModel(`${path}: was changed while it was read; run again`);
    return { sha256, stat };
  } catch (error) {
    throw error instanceof OffsiteError ? error : withPath(error, path);
  } finally {
    closeSync(descriptor);
  }
}

const blockBytes = 512n;
/** No file system packs rows or weights so well. */
const mostPerByte = 1024n;
/** Of what is smaller as many files as a place may have are hashed in minutes. */
const smallBytes = 1n << 24n;
/** Looked at, at random: where nearly all is zeros no honest file is, and no nearly whole hole is anything else. */
const pieces = { count: 64, bytes: 4096, mostOther: 2 };

/** Some file systems tell no blocks, or keep them elsewhere: then what is read tells. */
function isHole({ descriptor, stat: { size, blocks } }: PlainFile): boolean {
  if (size <= smallBytes || blocks * blockBytes * mostPerByte >= size) return false;
  const buffer = new Uint8Array(pieces.bytes);
  let others = 0;
  for (let i = 0; i < pieces.count && others <= pieces.mostOther; i++) {
    const read = readSync(descriptor, buffer, 0, buffer.length, Math.floor(Math.random() * Number(size)));
    if (buffer.subarray(0, read).some((byte) => byte !== 0)) others++;
  }
  return others <= pieces.mostOther;
}

/**
 * The sha256 of an open file, as long as it was when it was looked at, wherever others read in it.
 * @param beforeEach called before each piece, to stop by throwing
 */
export function hashDescriptor(
  descriptor: number,
  { size }: Pick<BigIntStats, 'size'>,
  beforeEach: () => void = () => {},
): string {
  const hash = createHash('sha256');
  const buffer = new Uint8Array(4 << 20);
  const all = Number(size);
  for (let done = 0; done < all; ) {
    beforeEach();
    const read = readSync(descriptor, buffer, 0, Math.min(buffer.length, all - done), done);
    if (read === 0) break;
    hash.update(buffer.subarray(0, read));
    done += read;
  }
  return `sha256:${hash.digest('hex')}`;
}

/** `sha256:` and 64 hexadecimal digits. */
export function hashBytes(bytes: string | Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}
