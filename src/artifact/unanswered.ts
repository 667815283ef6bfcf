// What a disk says where it does not answer: least of all that nothing is there.
import { statSync } from 'node:fs';

/** The system's answers that nothing is there under a name, or nothing that can be: by a link that leads to itself, say. */
const absent: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG']);

/**
 * Whether the system did not say what is there: whatever else its code is (EIO, ESTALE, EACCES, what a file system of a network has of
 * its own), another time, or to another user, it may.
 */
export function isUnanswered(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  // Node's own codes are ERR_ and something.
  return code !== undefined && /^E[A-Z0-9]+$/.test(code) && !absent.has(code);
}

/** Whether something is there, through links. @throws Error of the system where it does not answer */
export function isThere(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch (error) {
    if (isUnanswered(error)) throw error;
    return false;
  }
}
