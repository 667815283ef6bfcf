import { closeSync, constants, fstatSync, openSync } from 'node:fs';

/**
 * Opens a file to be read, if it is one.
 * @throws Error with what is wrong, without the file's name
 */
export function openPlain(path: string): { descriptor: number; size: number } {
  let descriptor: number;
  try {
    // Without O_NONBLOCK, opening a named pipe would wait for its writer.
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new Error(code === 'ENOENT' ? 'there is no such file' : `cannot be opened (${code})`, {
      cause: error,
    });
  }
  const stat = fstatSync(descriptor);
  if (stat.isFile()) return { descriptor, size: stat.size };
  closeSync(descriptor);
  throw new Error(`is ${stat.isDirectory() ? 'a directory, not a file' : 'no plain file'}`);
}
