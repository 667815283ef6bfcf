// Hashing of files larger than memory, safe against writers meanwhile.
import { createHash } from 'node:crypto';
import { type BigIntStats, closeSync, fstatSync, readSync } from 'node:fs';
import { badModel, OffsiteError, withPath } from '../../api/index.ts';
import { openModelFile } from '../plain-file.ts';

/**
 * The sha256 of a file, read in pieces, and what the file was meanwhile.
 * @throws OffsiteError BadModel when it is no plain file, or is written to while it is read
 * @throws Error of the system, with the path, when it cannot be read
 */
export function hashFile(path: string): { sha256: string; stat: BigIntStats } {
  const { descriptor: file, stat } = openModelFile(path);
  try {
    const hash = createHash('sha256');
    const buffer = new Uint8Array(4 << 20);
    for (let read = readSync(file, buffer); read > 0; read = readSync(file, buffer))
      hash.update(buffer.subarray(0, read));
    const after = fstatSync(file, { bigint: true });
    if (after.size !== stat.size || after.mtimeNs !== stat.mtimeNs)
      throw badModel(`${path}: was changed while it was read; run again`);
    return { sha256: `sha256:${hash.digest('hex')}`, stat };
  } catch (error) {
    throw error instanceof OffsiteError ? error : withPath(error, path);
  } finally {
    closeSync(file);
  }
}
