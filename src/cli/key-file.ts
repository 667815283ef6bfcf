// Files of keys that a command is given by their path.
import { badSpec } from '../api/index.ts';
import { boundedBytes, mostKeyBytes } from '../artifact/index.ts';

/**
 * What a PEM file holds, read by `read`.
 * @throws OffsiteError BadSpec naming the option, and quoting nothing of the file
 */
export function keyIn<T>(path: string, read: (text: string) => T): T {
  try {
    const bytes = boundedBytes(path, mostKeyBytes);
    if (typeof bytes === 'string') throw new Error(`is ${bytes} for a key in PEM`);
    return read(Buffer.from(bytes).toString('utf8'));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw badSpec(`--key ${path}: ${code === undefined ? message : `cannot be read (${code})`}`);
  }
}
