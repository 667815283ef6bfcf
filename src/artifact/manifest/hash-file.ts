// Hashing of files larger than memory, safe against writers meanwhile.
import { createHash } from 'node:crypto';
import { type BigIntStats, closeSync, fstatSync, readSync } from 'node:fs';
import { badModel, OffsiteError, withPath } from '../../api/index.ts';
import { openModelFile } from '../plain-file.ts';

/** What a writer says of the file that it wrote: of the bytes as it had them, whatever lies there by then. */
export interface Written {
  readonly sizeBytes: number;
  readonly sha256: string;
}

/**
 * The sha256 of a file, read in pieces, and what the file was meanwhile.
 * @throws OffsiteError BadModel when it is no plain file, or is written to while it is read
 * @throws Error of the system, with the path, when it cannot be read
 */
export function hashFile(path: string): { sha256: string; stat: BigIntStats } {
  const { descriptor, stat } = openModelFile(path);
  try {
    const sha256 = hashDescriptor(descriptor);
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

/** The sha256 of an open file from its beginning on, wherever others read in it. */
export function hashDescriptor(descriptor: number): string {
  const hash = createHash('sha256');
  const buffer = new Uint8Array(4 << 20);
  for (let done = 0; ; ) {
    const read = readSync(descriptor, buffer, 0, buffer.length, done);
    if (read === 0) return `sha256:${hash.digest('hex')}`;
    hash.update(buffer.subarray(0, read));
    done += read;
  }
}

/** `sha256:` and 64 hexadecimal digits. */
export function hashBytes(bytes: string | Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}
