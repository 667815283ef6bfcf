// What tells one data set from another, be it one file or several shards.
import { statSync } from 'node:fs';
import { basename } from 'node:path';
import { badData, isPrintable, OffsiteError, printable } from '../api/index.ts';
import { fileDigest, sha256 } from '../artifact/index.ts';
import { shardsOf } from './shards.ts';

/**
 * The digest of rows: of a file its sha256, of a directory that of its shards' sorted `sha256  name` lines (what
 * `offsite digest` says of a directory that holds nothing else).
 * @param expected what the spec's field says that it must be
 * @throws OffsiteError BadData when there are no rows, they are others, or a shard's name could stand for another line
 */
export function dataDigest(path: string, field: string, expected?: string): string {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) throw badData(`${path}: there is no such file (${field})`);
  const digest = stat.isDirectory() ? shardsDigest(path) : digestOfRows(path);
  if (expected !== undefined && digest !== expected)
    throw badData(`${field}.digest: the digest of ${path} is ${digest}, expected ${expected}`);
  return digest;
}

function shardsDigest(directory: string): string {
  const lines = shardsOf(directory).map((file) => {
    const name = basename(file);
    if (!isPrintable(name))
      throw badData(`${directory}: the name "${printable(name)}" has a character that cannot be printed`);
    return `${digestOfRows(file).slice('sha256:'.length)}  ${name}\n`;
  });
  return sha256(lines.sort().join(''));
}

function digestOfRows(file: string): string {
  const stat = statSync(file, { throwIfNoEntry: false });
  if (stat?.isDirectory()) throw badData(`${file}: is a directory, not a file`);
  // A named pipe would wait for its writer.
  if (stat?.isFile() === false) throw badData(`${file}: is no plain file`);
  try {
    return fileDigest(file);
  } catch (error) {
    throw error instanceof OffsiteError ? badData(error.message) : error;
  }
}
