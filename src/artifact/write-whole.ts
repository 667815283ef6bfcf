// Atomic writes of single files: a reader finds the old one or the new one.
import { createHash, randomBytes } from 'node:crypto';
import { linkSync, lstatSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { boundedBytes } from './bounded-file.ts';
import { clearAt, refuseOutside } from './confinement.ts';

/**
 * Writes a file whole or not at all: to a temporary name beside it, synced, then renamed. Where either is a link, the link
 * goes, and what it leads to stays as it is.
 * @param options the file's rights, where they are to be narrower than usual
 * @throws Error with the system's code and the file's name; nothing half-written stays
 */
export function writeWhole(path: string, text: string | Uint8Array, options: { mode?: number } = {}): void {
  const temporary = `${path}.tmp`;
  putInPlace(path, temporary, () => {
    // What a killed process has left there; a link that comes after it is refused and not followed.
    rmSync(temporary, { force: true });
    writeFileSync(temporary, text, { ...options, flag: 'wx', flush: true });
    renameSync(temporary, path);
  });
}

/** In milliseconds. Between a file's writing and its renaming are moments: what is so much older has a killed process left. */
const leftAfter = 600_000;

/** The same where others write, too: the temporary file has a name that nobody else gives. */
export function writeWholeAmongOthers(path: string, text: string): void {
  writeTemporary(path, text, leftAfter, (temporary) => renameSync(temporary, path));
}

/**
 * The same for a file of a directory in which no other may lie: the temporary lies, and is found, beside another file.
 * @param beside on the same file system
 */
export function writeWholeFrom(beside: string, path: string, text: string): void {
  writeTemporary(path, text, leftAfter, (temporary) => renameSync(temporary, path), beside);
}

/**
 * The same for who has the place for himself: where the file is what was seen of it, or is not there.
 * @returns false where something else is there by now, which stays
 */
export function writeWholeOver(path: string, text: string, seen: Uint8Array | undefined): boolean {
  let isWritten = true;
  writeTemporary(path, text, 0, (temporary) => {
    if (seen !== undefined && isStill(path, seen)) renameSync(temporary, path);
    else isWritten = placeNew(temporary, path);
  });
  return isWritten;
}

/** Gives a file a name that nothing has. @returns whether nothing had it */
function placeNew(temporary: string, path: string): boolean {
  try {
    linkSync(temporary, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    // The file system has no links.
    if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) return false;
    renameSync(temporary, path);
  }
  return true;
}

function isStill(path: string, seen: Uint8Array): boolean {
  if (lstatSync(path, { throwIfNoEntry: false })?.isFile() !== true) return false;
  const there = boundedBytes(path, seen.length);
  return typeof there !== 'string' && Buffer.compare(there, seen) === 0;
}

function writeTemporary(
  path: string,
  text: string,
  olderThan: number,
  place: (temporary: string) => void,
  beside = path,
): void {
  const start = temporaryStartOf(beside);
  const temporary = join(dirname(beside), `${start}${randomBytes(8).toString('hex')}`);
  putInPlace(path, temporary, () => {
    writeFileSync(temporary, text, { flag: 'wx', flush: true });
    clearTemporaries(temporary, start, olderThan);
    place(temporary);
  });
}

/** How the names of a file's temporaries among others begin: all are of one length, however long the file's name is. */
export const temporaryStartOf = (path: string): string =>
  `.offsite-tmp-${createHash('sha256').update(basename(path)).digest('hex').slice(0, 16)}-`;

function putInPlace(path: string, temporary: string, put: () => void): void {
  try {
    refuseOutside(path);
    put();
  } catch (error) {
    throw Object.assign(error as Error, { message: `${(error as Error).message} (${path})` });
  } finally {
    clearAt(temporary);
  }
}

/** Clears what is so much older than a temporary that was just written, by the file system's own clock. */
function clearTemporaries(temporary: string, start: string, olderThan: number): void {
  const directory = dirname(temporary);
  const now = lstatSync(temporary).mtimeMs;
  for (const name of readdirSync(directory)) {
    const path = join(directory, name);
    if (path === temporary || !name.startsWith(start)) continue;
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (stat?.isFile() && now - stat.mtimeMs >= olderThan) rmSync(path, { force: true });
  }
}
