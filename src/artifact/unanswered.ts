// What a disk that does not answer says: no answer, and least of all that nothing is there.
import { statSync } from 'node:fs';

const codes: ReadonlySet<unknown> = new Set([
  ...['EIO', 'ESTALE', 'ENODEV', 'ENOTCONN', 'EHOSTDOWN', 'ETIMEDOUT'],
  ...['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN'],
]);

/** Whether the system could not say what is there: another time it may. Nobody brings it about by what he lays there. */
export const isUnanswered = (error: unknown): boolean => codes.has((error as NodeJS.ErrnoException).code);

/** Whether something is there, through links. @throws Error of the system where it does not answer */
export function isThere(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch (error) {
    if (isUnanswered(error)) throw error;
    return false;
  }
}
