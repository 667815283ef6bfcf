// Atomic writes of single files: a reader finds the old one or the new one.
import { createHash, randomBytes } from 'node:crypto';
import { lstatSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/**
 * Writes a file whole or not at all: to a temporary name beside it, synced, then renamed. Where either is a link, the link
 * goes, and what it leads to stays as it is.
 * @param options the file's rights, where they are to be narrower than usual
 * @throws Error with the system's code and the file's name; nothing half-written stays
 */
export function writeWhole(path: string, text: string | Uint8Array, options: { mode?: number } = {}): void {
  const temporary = `${path}.tmp`;
  exchange(path, temporary, () => {
    // What a killed process has left there; a link that comes after it is refused and not followed.
    rmSync(temporary, { force: true });
    writeFileSync(temporary, text, { ...options, flag: 'wx', flush: true });
  });
}

/** The same where others write, too: the temporary file has a name that nobody else gives. */
export function writeWholeAmongOthers(path: string, text: string): void {
  const start = temporaryStartOf(path);
  const temporary = join(dirname(path), `${start}${randomBytes(8).toString('hex')}`);
  exchange(path, temporary, () => {
    clearTemporaries(dirname(path), start);
    writeFileSync(temporary, text, { flag: 'wx', flush: true });
  });
}

/** How the names of a file's temporaries among others begin: all are of one length, however long the file's name is. */
export const temporaryStartOf = (path: string): string =>
  `.offsite-tmp-${createHash('sha256').update(basename(path)).digest('hex').slice(0, 16)}-`;

function exchange(path: string, temporary: string, write: () => void): void {
  try {
    write();
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw Object.assign(error as Error, { message: `${(error as Error).message} (${path})` });
  }
}

/** What killed processes have left. */
function clearTemporaries(directory: string, start: string): void {
  for (const name of readdirSync(directory)) {
    const path = join(directory, name);
    if (name.startsWith(start) && lstatSync(path, { throwIfNoEntry: false })?.isFile())
      rmSync(path, { force: true });
  }
}
