// What a disk says where it does not answer: least of all that nothing is there.
import { statSync } from 'node:fs';
import { constants } from 'node:os';

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

/** What rmSync of Node 24 says in the words of glibc alone: its code is empty then. */
const codesInWords = {
  'Device or resource busy': 'EBUSY',
  'Stale file handle': 'ESTALE',
  'Read-only file system': 'EROFS',
  'Disk quota exceeded': 'EDQUOT',
  'Input/output error': 'EIO',
  'Remote I/O error': 'EREMOTEIO',
  'Transport endpoint is not connected': 'ENOTCONN',
  'Connection timed out': 'ETIMEDOUT',
};

/** The code of an error of the system, also where Node tells it in words or by number alone; undefined where there is none. */
export function systemCodeOf(error: unknown): string | undefined {
  const { code, message = '' } = (error ?? {}) as NodeJS.ErrnoException;
  if (code === '')
    return Object.entries(codesInWords).find(([words]) => message.includes(`Unknown error: ${words}`))?.[1];
  // Of some (ESTALE, EDQUOT) it knows no name.
  const [, number] = /^Unknown system error -([0-9]+)$/.exec(code ?? '') ?? [];
  const named = Object.entries(constants.errno).find(([, value]) => String(value) === number);
  return named?.[0] ?? code;
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
