// The guard between the check of a file and its use: what was swapped meanwhile is found out.
import { type BigIntStats, statSync } from 'node:fs';
import { badModel } from '../../api/index.ts';
import { hashFile } from './hash-file.ts';

interface CheckedFile {
  sha256: string;
  /** As it was when its bytes were hashed. */
  stat: BigIntStats;
}

/**
 * Files whose bytes have been checked and are read afterwards, again and again: at the end they must be the ones that were
 * checked. Looking costs a call to the system a file; where only links or rights have changed, it is hashed once more.
 */
export class CheckedFiles {
  readonly #files = new Map<string, CheckedFile>();

  /** Hashes a file and remembers what it is. @returns its sha256 @throws OffsiteError BadModel when it cannot be read */
  digest(path: string): string {
    const file = hashFile(path);
    this.#files.set(path, file);
    return file.sha256;
  }

  /** @throws OffsiteError BadModel naming a file that is another one now, or gone */
  checkUnchanged(): void {
    for (const [path, file] of this.#files)
      if (!isUnchanged(path, file))
        throw badModel(`${path}: was changed while it was read; nothing was made of it: run again`);
  }
}

function isUnchanged(path: string, { sha256, stat }: CheckedFile): boolean {
  const now = statSync(path, { bigint: true, throwIfNoEntry: false });
  if (now === undefined || now.size !== stat.size || now.mtimeNs !== stat.mtimeNs) return false;
  // Rights, owners and links to a file change nothing in it, and some file systems number their files anew.
  return (now.ino === stat.ino && now.ctimeNs === stat.ctimeNs) || hashFile(path).sha256 === sha256;
}
