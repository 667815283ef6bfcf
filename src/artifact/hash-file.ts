import { createHash } from 'node:crypto';
import { type BigIntStats, closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { badModel } from '../api/index.ts';

/**
 * The sha256 of a file, read in pieces, and what the file was meanwhile.
 * @throws OffsiteError BadModel when it cannot be read, or is written to while it is
 */
export function hashFile(path: string): { sha256: string; stat: BigIntStats } {
  const file = opened(path);
  try {
    const hash = createHash('sha256');
    const stat = fstatSync(file, { bigint: true });
    if (!stat.isFile()) throw badModel(`${path}: is no plain file`);
    const buffer = new Uint8Array(4 << 20);
    for (let read = readSync(file, buffer); read > 0; read = readSync(file, buffer))
      hash.update(buffer.subarray(0, read));
    const after = fstatSync(file, { bigint: true });
    if (after.size !== stat.size || after.mtimeNs !== stat.mtimeNs)
      throw badModel(`${path}: was changed while it was read; run again`);
    return { sha256: `sha256:${hash.digest('hex')}`, stat };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    throw badModel(`${path}: cannot be read (${code})`);
  } finally {
    closeSync(file);
  }
}

function opened(path: string): number {
  try {
    // Without O_NONBLOCK, opening a named pipe would wait for its writer.
    return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    throw badModel(`${path}: cannot be opened (${(error as NodeJS.ErrnoException).code})`);
  }
}
