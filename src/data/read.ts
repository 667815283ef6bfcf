// From a data set's files, whatever their container, to validated rows.
import { statSync } from 'node:fs';
import { badData, cancelled } from '../api/index.ts';
import { type Files, onDisk } from '../artifact/index.ts';
import { type HashedRows, hashRows, ofRows } from './digest.ts';
import { Expansion } from './expansion.ts';
import { jsonLines } from './json-lines.ts';
import { parquetRows } from './parquet.ts';
import { RowRoom } from './row-room.ts';
import { type Format, parseRow, type RowOf } from './rows.ts';
import { shardsOf } from './shards.ts';

export interface ReadOptions {
  /** The most rows that will be taken, so that no more of a Parquet file is decoded. */
  readonly limit?: number;
  /** Whether the work is no longer wanted; never, when absent. */
  readonly cancelled?: (() => boolean) | undefined;
}

/**
 * Reads rows one by one, holding a small part of the file at a time; stops reading when the caller does. Rows lie in a
 * file of JSON lines, a Parquet file (by its ending), or a directory that holds one split's shards of either.
 * @throws OffsiteError BadData with file, row (counted from 1 in its file) and column; never with what stands there. Cancelled
 */
export async function* streamRows<F extends Format>(
  path: string,
  format: F,
  options: ReadOptions = {},
): AsyncGenerator<RowOf[F]> {
  const shards = shardsOf(path);
  const sizes = shards.map((file) => statSync(file, { throwIfNoEntry: false })?.size ?? 0);
  yield* rowsIn({ shards, sizes, files: onDisk }, format, options);
}

/** The files of rows, in order, and what opens them. */
type Source = Omit<HashedRows, 'digest' | 'files'> & { readonly files: Files };

async function* rowsIn<F extends Format>(
  { shards, sizes, files }: Source,
  format: F,
  { limit = Number.POSITIVE_INFINITY, cancelled: isCancelled = () => false }: ReadOptions,
): AsyncGenerator<RowOf[F]> {
  let taken = 0;
  const expansion = new Expansion(sizes);
  for (const file of shards) {
    let number = 0;
    const values = file.endsWith('.parquet')
      ? parquetRows(file, { files, limit: limit - taken, cancelled: isCancelled })
      : jsonLines(file, files);
    for await (const value of values) {
      if (isCancelled()) throw cancelled('stopped on request');
      number++;
      expansion.add(value, `${file}: row ${number}`);
      const row = parseRow(value, format);
      if ('problem' in row) throw badData(`${file}: row ${number}: ${row.problem}`);
      yield row;
      if (++taken >= limit) return;
    }
    if (number === 0) throw badData(`${file}: the file is empty; it needs at least one row`);
  }
}

/**
 * The first `limit` rows (all when absent), checked.
 * @param memory bytes that the stage was given
 * @param digest of the rows as it was taken before: others are refused, and only what has it is opened and read
 * @throws OffsiteError BadData as `streamRows`, where they take too much memory, and for others than the digest's, be it
 * only while they are read
 */
export async function readRows<F extends Format>(
  path: string,
  format: F,
  {
    digest,
    memory,
    ...options
  }: ReadOptions & { readonly digest?: string | undefined; readonly memory?: number } = {},
): Promise<RowOf[F][]> {
  const rows: RowOf[F][] = [];
  const room = new RowRoom(path, memory === undefined ? {} : { memory });
  const hashed = digest === undefined ? undefined : hashedAs(digest, path);
  const read = hashed === undefined ? streamRows(path, format, options) : rowsIn(hashed, format, options);
  for await (const row of read) {
    room.add(row);
    rows.push(row);
  }
  if (hashed !== undefined) ofRows(() => hashed.files.checkUnchanged());
  return rows;
}

function hashedAs(digest: string, path: string): HashedRows {
  const hashed = hashRows(path, path);
  if (hashed.digest !== digest)
    throw badData(`${path}: was changed while it was read; nothing was made of it: run again`);
  return hashed;
}
