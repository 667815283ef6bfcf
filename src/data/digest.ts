import { statSync } from 'node:fs';
import { badData } from '../api/index.ts';
import { fileDigest } from '../artifact/index.ts';

/**
 * The digest of a file of rows.
 * @param expected what the spec's field says that it must be
 * @throws OffsiteError BadData when there is no such file, or it is another one
 */
export function dataDigest(path: string, field: string, expected?: string): string {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) throw badData(`${path}: there is no such file (${field})`);
  if (stat.isDirectory()) throw badData(`${path}: is a directory, not a file of rows (${field})`);
  const digest = fileDigest(path);
  if (expected !== undefined && digest !== expected)
    throw badData(`${field}.digest: the digest of ${path} is ${digest}, expected ${expected}`);
  return digest;
}
