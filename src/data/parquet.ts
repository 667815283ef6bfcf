import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects, toJson } from 'hyparquet';
import { badData } from '../api/index.ts';

/**
 * The rows of a Parquet file (plain or Snappy), a row group in memory at a time. Columns without a value are left out.
 * @throws OffsiteError BadData with the file when it is damaged
 */
export async function* parquetRows(path: string, limit: number): AsyncGenerator<unknown> {
  const file = await readable(path, () => asyncBufferFromFile(path));
  const metadata = await readable(path, () => parquetMetadataAsync(file));
  let rowStart = 0;
  for (const { num_rows } of metadata.row_groups) {
    if (rowStart >= limit) return;
    const rowEnd = Math.min(rowStart + Number(num_rows), limit);
    // A group may be empty, and others follow.
    if (rowEnd <= rowStart) continue;
    const options = { file, metadata, rowStart, rowEnd, useOffsetIndex: true };
    for (const row of await readable(path, () => parquetReadObjects(options))) yield withValues(row);
    rowStart = rowEnd;
  }
}

/** As JSON has it: whole numbers as numbers, and no member where Parquet has a null. */
function withValues(row: Record<string, unknown>): unknown {
  return Object.fromEntries(
    Object.entries(toJson(row) as Record<string, unknown>).filter(([, value]) => value !== null),
  );
}

async function readable<T>(path: string, read: () => T | Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    throw badData(`${path}: cannot be read as Parquet: ${(error as Error).message}`);
  }
}
