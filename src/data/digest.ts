// What tells one data set from another, be it one file or several shards, and the files that it was told of.
import { statSync } from 'node:fs';
import { basename } from 'node:path';
import { badData, isPrintable, OffsiteError, printable } from '../api/index.ts';
import { CheckedFiles, ownFilesOf, sha256 } from '../artifact/index.ts';
import { shardsOf } from './shards.ts';

/** Rows as they were when they were hashed. */
export interface HashedRows {
  readonly digest: string;
  /** The files of rows, in order. */
  readonly shards: readonly string[];
  /** In bytes, of each shard. */
  readonly sizes: readonly number[];
  /** Opens those files alone, and only while they are what was hashed. */
  readonly files: CheckedFiles;
}

/**
 * The digest of rows: of a file its sha256, of a directory that of its shards' sorted `sha256  name` lines (what
 * `offsite digest` says of a directory that holds nothing else).
 * @param expected what the spec's field says that it must be
 * @throws OffsiteError BadData when there are no rows, they are others, or a shard's name could stand for another line
 */
export function dataDigest(path: string, field: string, expected?: string): string {
  const { digest } = hashRows(path, field);
  if (expected !== undefined && digest !== expected)
    throw badData(`${field}.digest: the digest of ${path} is ${digest}, expected ${expected}`);
  return digest;
}

/** The same, with the files that it is of: what is read of them is what it says. @throws OffsiteError BadData as above */
export function hashRows(path: string, field: string): HashedRows {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) throw badData(`${path}: there is no such file (${field})`);
  const files = new CheckedFiles();
  if (!stat.isDirectory()) {
    const digest = digestOfRows(path, files);
    return { digest, shards: [path], sizes: [files.size(path)], files };
  }
  const shards = shardsOf(path);
  // Of a shard behind the rows that a stage takes nothing is parsed.
  const lookAt = ownFilesOf(path);
  const lines = shards.map((file) => {
    const name = basename(file);
    if (!isPrintable(name))
      throw badData(`${path}: the name "${printable(name)}" has a character that cannot be printed`);
    return `${digestOfRows(file, files, lookAt(file)).slice('sha256:'.length)}  ${name}\n`;
  });
  return {
    digest: sha256(lines.sort().join('')),
    shards,
    sizes: shards.map((file) => files.size(file)),
    files,
  };
}

function digestOfRows(
  file: string,
  files: CheckedFiles,
  look?: Parameters<CheckedFiles['digest']>[1],
): string {
  const stat = statSync(file, { throwIfNoEntry: false });
  if (stat?.isDirectory()) throw badData(`${file}: is a directory, not a file`);
  // A named pipe would wait for its writer.
  if (stat?.isFile() === false) throw badData(`${file}: is no plain file`);
  return ofRows(() => files.digest(file, look));
}

/** What is wrong with a file is told as wrong with rows, whatever files are otherwise hashed for. */
export function ofRows<T>(look: () => T): T {
  try {
    return look();
  } catch (error) {
    throw error instanceof OffsiteError && error.reason !== 'Cancelled' ? badData(error.message) : error;
  }
}
