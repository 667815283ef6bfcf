// Atomic writes of single files: a reader finds the old one or the new one.
import { renameSync, rmSync, writeFileSync } from 'node:fs';

/**
 * Writes a file whole or not at all: to a temporary name beside it, synced, then renamed. Where either is a link, the link
 * goes, and what it leads to stays as it is.
 * @param options the file's rights, where they are to be narrower than usual
 * @throws Error with the system's code and the file's name; nothing half-written stays
 */
export function writeWhole(path: string, text: string | Uint8Array, options: { mode?: number } = {}): void {
  const temporary = `${path}.tmp`;
  try {
    // What a killed process has left there; a link that comes after it is refused and not followed.
    rmSync(temporary, { force: true });
    writeFileSync(temporary, text, { ...options, flag: 'wx', flush: true });
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw Object.assign(error as Error, { message: `${(error as Error).message} (${path})` });
  }
}
