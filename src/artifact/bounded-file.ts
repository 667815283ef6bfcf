// Reads of small files that are bounded in bytes, whoever wrote them.
import { closeSync, readSync } from 'node:fs';
import type { z } from 'zod';
import { type JsonBounds, parseJson, withPath } from '../api/index.ts';
import { NotPlain, openPlain, type PlainFile } from './plain-file.ts';
import { isUnanswered } from './unanswered.ts';

/**
 * A file's bytes, where it is one and no longer than it may be, whatever becomes of it meanwhile.
 * @throws Error of the system
 */
export function boundedBytes(path: string, most: number): Uint8Array | 'too long' | 'no file' {
  let file: PlainFile;
  try {
    file = openPlain(path);
  } catch (error) {
    if (error instanceof NotPlain) return 'no file';
    throw error;
  }
  const { descriptor, stat } = file;
  try {
    if (stat.size > most) return 'too long';
    const bytes = new Uint8Array(Number(stat.size));
    let done = 0;
    for (let read = 1; read > 0 && done < bytes.length; done += read)
      read = readSync(descriptor, bytes, done, bytes.length - done, done);
    return bytes.subarray(0, done);
  } finally {
    closeSync(descriptor);
  }
}

/** What a stage leaves beside its artifact, or where its work lies, for its next start: a result, a history, figures. */
const keptBounds: JsonBounds = { bytes: 64 << 20, depth: 64, values: 1 << 21 };

/**
 * The value of a JSON file that we write, at a place where others may write too.
 * @throws Error that says what is wrong, and quotes nothing; or of the system
 */
export function readKeptJson(path: string): unknown {
  const bytes = boundedBytes(path, keptBounds.bytes);
  if (typeof bytes === 'string') throw new Error(`is ${bytes}`);
  return parseJson(bytes, keptBounds);
}

/**
 * The same where it has the schema's shape; undefined where it is not there, damaged or of another shape.
 * @throws Error of the system where the disk does not answer
 */
export function readKept<T>(schema: z.ZodType<T>, path: string): T | undefined {
  try {
    return schema.parse(readKeptJson(path));
  } catch (error) {
    if (isUnanswered(error)) throw withPath(error, path);
    return undefined;
  }
}
