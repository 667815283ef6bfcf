// Hashing of files larger than memory, safe against writers meanwhile.
import { createHash } from 'node:crypto';
import { type BigIntStats, closeSync, fstatSync, readSync } from 'node:fs';
import { badModel, cancelled, OffsiteError, withPath } from '../../api/index.ts';
import { openModelFile } from '../plain-file.ts';

/** What a writer says of the file that it wrote: of the bytes as it had them, whatever lies there by then. */
export interface Written {
  readonly sizeBytes: number;
  readonly sha256: string;
}

let isToStop = () => false;

/** Sets what tells, for this thread, that no more is to be hashed: a file may take hours. */
export function stopHashingWhere(asked: () => boolean): void {
  isToStop = asked;
}

/**
 * The sha256 of a file, read in pieces, and what the file was meanwhile.
 * @throws OffsiteError BadModel when it is no plain file, or is written to while it is read; Cancelled
 * @throws Error of the system, with the path, when it cannot be read
 */
export const hashFile = (path: string): { sha256: string; stat: BigIntStats } => hashOpened(path, () => {});

/** The same of somebody else's file. @throws OffsiteError BadModel also where nearly all of it is a hole, which costs its maker nothing */
export const hashForeignFile = (path: string): { sha256: string; stat: BigIntStats } =>
  hashOpened(path, (stat) => refuseHole(path, stat));

function hashOpened(path: string, look: (stat: BigIntStats) => void): { sha256: string; stat: BigIntStats } {
  const { descriptor, stat } = openModelFile(path);
  try {
    look(stat);
    const sha256 = hashDescriptor(descriptor, stat);
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
/** What is smaller is hashed in seconds. */
const smallBytes = 1n << 30n;

function refuseHole(path: string, { size, blocks }: BigIntStats): void {
  if (size > smallBytes && blocks * blockBytes * mostPerByte < size)
    throw badModel(
      `${path}: has ${size} bytes, of which ${blocks * blockBytes} lie on its disk: nearly all of it is a hole`,
    );
}

/**
 * The sha256 of an open file, as long as it was when it was looked at, wherever others read in it.
 * @throws OffsiteError Cancelled between two pieces
 */
export function hashDescriptor(descriptor: number, { size }: Pick<BigIntStats, 'size'>): string {
  const hash = createHash('sha256');
  const buffer = new Uint8Array(4 << 20);
  const all = Number(size);
  for (let done = 0; done < all; ) {
    if (isToStop()) throw cancelled('stopped on request');
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
