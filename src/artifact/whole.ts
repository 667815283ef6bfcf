import { renameSync, rmSync, writeFileSync } from 'node:fs';

/**
 * Writes a file whole or not at all: to a temporary name beside it, synced, then renamed.
 * @throws Error with the system's code and the file's name; nothing half-written stays
 */
export function writeWhole(path: string, text: string | Uint8Array): void {
  const temporary = `${path}.tmp`;
  try {
    writeFileSync(temporary, text, { flush: true });
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw Object.assign(error as Error, { message: `${(error as Error).message} (${path})` });
  }
}
