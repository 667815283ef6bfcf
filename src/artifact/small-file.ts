import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';

/**
 * The text of a file that others can put there: what is no plain file is not waited for, what is too large is not read.
 * @throws Error of the system, or that says that it is no such file
 */
export function readSmall(path: string, mostBytes: number): string {
  // Without O_NONBLOCK, opening a named pipe would wait for its writer.
  const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const stat = fstatSync(file);
    if (!stat.isFile() || stat.size > mostBytes)
      throw new Error(`${path}: is no plain file of at most ${mostBytes} bytes`);
    return readFileSync(file, 'utf8');
  } finally {
    closeSync(file);
  }
}
