// What a disk says where it does not answer: least of all that nothing is there.
import { statSync } from 'node:fs';

/** The system's answers that nothing is there under a name, or nothing that can be: by a link that leads to itself, say. */
const absent: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG']);

/**
 * Whether the system did not say what is there: whatever else its code is (EIO, EACCES, what a file system of a network has of its own,
 * for which Node has a number alone), another time, or to another user, it may.
 */
export function isUnanswered(error: unknown): boolean {
  const { code = '', syscall } = error as NodeJS.ErrnoException;
  return syscall !== undefined && !absent.has(code);
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
