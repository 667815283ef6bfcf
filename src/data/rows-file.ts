// How a file of rows is opened, with a reason that a user understands where it cannot be.
import { openPlain } from '../artifact/index.ts';

/**
 * Opens a file of rows, if it is a file.
 * @throws Error with what is wrong, without the file's name
 */
export function openRows(path: string): { descriptor: number; size: number } {
  try {
    const { descriptor, stat } = openPlain(path);
    return { descriptor, size: Number(stat.size) };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    throw new Error(code === 'ENOENT' ? 'there is no such file' : `cannot be opened (${code})`, {
      cause: error,
    });
  }
}
