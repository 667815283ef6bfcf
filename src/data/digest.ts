import { statSync } from 'node:fs';
import { basename } from 'node:path';
import { badData } from '../api/index.ts';
import { fileDigest, sha256 } from '../artifact/index.ts';
import { shardsOf } from './shards.ts';

/**
 * The digest of rows: of a file its sha256, of a directory that of its shards' sorted `sha256  name` lines (what
 * `offsite digest` says of a directory that holds nothing else).
 * @param expected what the spec's field says that it must be
 * @throws OffsiteError BadData when there are no rows, or they are others
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
  const lines = shardsOf(directory).map(
    (file) => `${digestOfRows(file).slice('sha256:'.length)}  ${basename(file)}\n`,
  );
  return sha256(lines.sort().join(''));
}

/** A file that cannot be read is the data's fault here. */
function digestOfRows(file: string): string {
  try {
    return fileDigest(file);
  } catch (error) {
    throw badData((error as Error).message, { cause: error });
  }
}
