// From a data set's files, whatever their container, to validated rows.
import { badData, cancelled } from '../api/index.ts';
import { dataDigest } from './digest.ts';
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
  { limit = Number.POSITIVE_INFINITY, cancelled: isCancelled = () => false }: ReadOptions = {},
): AsyncGenerator<RowOf[F]> {
  let taken = 0;
  const files = shardsOf(path);
  const expansion = new Expansion(files);
  for (const file of files) {
    let number = 0;
    const values = file.endsWith('.parquet')
      ? parquetRows(file, { limit: limit - taken, cancelled: isCancelled })
      : jsonLines(file);
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
 * @param digest of the rows as it was taken before: what was put in their place since is found out
 * @throws OffsiteError BadData as `streamRows`, where they take too much memory, and for others than the digest's
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
  const room = new RowRoom(path, memory);
  for await (const row of streamRows(path, format, options)) {
    room.add(row);
    rows.push(row);
  }
  if (digest !== undefined && dataDigest(path, path) !== digest)
    throw badData(`${path}: was changed while it was read; nothing was made of it: run again`);
  return rows;
}
