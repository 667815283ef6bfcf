// The reader of a model's JSON files, such as config.json.
import { badModel, type JsonBounds, parsePythonJson } from '../api/index.ts';
import { type Files, onDisk } from '../artifact/index.ts';
import { longestName, RandomAccessFile } from './file.ts';
import { foreignKind } from './foreign.ts';

/** config.json and its like: the largest that are published have some hundred kilobytes (a label for each class). */
export const configBounds: JsonBounds = { bytes: 4 << 20, depth: 64, values: 1 << 18 };

/**
 * Reads a JSON file of a model: UTF-8, with or without a byte order mark, within bounds that are checked before anything is
 * made of it. `Infinity` is read as Python's json writes it; NaN becomes the text 'NaN', which no number's schema takes.
 * @param files where it lies
 * @returns the value, and the text without its mark
 * @throws OffsiteError BadModel naming the file, and what it is where it is another kind of file
 */
export function readJsonFile(
  path: string,
  bounds = configBounds,
  files: Files = onDisk,
): { value: unknown; text: string } {
  const bytes = readWhole(path, bounds.bytes, files);
  files.confirm(path, bytes);
  try {
    return parsePythonJson(bytes, { name: longestName, ...bounds });
  } catch (error) {
    throw badModel(`${path}: ${foreignKind(bytes) ?? (error as Error).message}`);
  }
}

function readWhole(path: string, most: number, files: Files): Uint8Array {
  const file = new RandomAccessFile(path, files);
  try {
    if (file.size > most)
      throw badModel(`${path}: has ${file.size} bytes; at most ${most} are read of such a file`);
    return file.read(0, file.size);
  } finally {
    file.close();
  }
}
