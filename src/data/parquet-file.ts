// Decoding a Parquet file by row groups, each checked against its bounds before it is decompressed.
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib';
import {
  type AsyncBuffer,
  type Compressors,
  type FileMetaData,
  parquetMetadata,
  parquetReadObjects,
  type RowGroup,
  snappyUncompress,
  toJson,
} from 'hyparquet';
import { checkPages } from './parquet-pages.ts';
import { isOfSystem, type RangedFile } from './ranged-file.ts';
import { mostExpansion, mostRowBytes, mostRowMebibytes, rowBytes } from './row-size.ts';

/** What is read of a file before its rows: a thousand row groups of thirty columns come to some megabytes. */
const largestFooter = 16 << 20;
/** Of the file around footer and pages: PAR1 at both ends, and the footer's length. */
const frame = 12;
/** Of a row group: bytes that its pages come to, and values of one column (as many rows). */
const largestGroup = 2 ** 30;
const mostValues = 2 ** 24;
/** Of all columns: a page of some bytes may stand for millions of numbers, which are decoded outside of the heap. */
const mostCells = 2 ** 26;

/**
 * Descriptions of columns that the decoder goes over, all of them for each row group. A footer has room for half a million groups'
 * own, so more are there only where groups leave columns out.
 */
const mostDescriptions = 2 ** 23;

/** Of a row's lists and structs in each other: what a thread can still hand on, another may not be able to take. */
const mostLevels = 64;

/** A row, and the bytes that it comes to. */
export interface SizedRow {
  row: unknown;
  bytes: number;
}

/**
 * The rows of a Parquet file, a row group in memory at a time. What its headers claim is checked before memory is taken for
 * it; what a varint, a footer or an encoding costs beyond is for the limits of the process.
 * @param alwaysAllowed bytes that all pages, and all rows, may come to, however small the file
 * @throws Error with what is wrong, without the file's name and without what stands there; Error of the system
 */
export async function* readParquet(
  file: RangedFile,
  limit: number,
  alwaysAllowed = largestGroup,
): AsyncGenerator<SizedRow> {
  const metadata = readMetadata(file);
  const [elements, groups] = [metadata.schema.length, metadata.row_groups.length];
  if (elements * groups > mostDescriptions)
    throw new Error(
      `its schema has ${elements} elements and it has ${groups} row groups, more than ${mostDescriptions} descriptions of columns in all; write larger row groups, or fewer columns`,
    );
  const most = Math.max(alwaysAllowed, mostExpansion * file.size);
  const tooMuch = (where: string) =>
    new Error(
      `${where}: the file's ${file.size} bytes expand to more than ${most} up to here; split the file, if that is right`,
    );
  let [rowStart, bytes] = [0, 0];
  const pages = { packed: 0, unpacked: 0 };
  for (const [i, group] of metadata.row_groups.entries()) {
    if (rowStart >= limit) return;
    const rows = countOf(group.num_rows, `row group ${i + 1} claims its rows`);
    if (rows > mostValues)
      throw new Error(
        `row group ${i + 1} claims ${rows} rows, more than ${mostValues}; write smaller row groups`,
      );
    const rowEnd = Math.min(rowStart + rows, limit);
    // A group may be empty, and others follow.
    if (rowEnd <= rowStart) continue;
    const { packed, unpacked } = checkGroup(file, group, i);
    pages.packed += packed;
    pages.unpacked += unpacked;
    // Many groups may name one page, which would be unpacked for each of them.
    if (pages.packed > file.size - metadata.metadata_length - frame)
      throw new Error(`row group ${i + 1} names bytes that others have; the file is damaged`);
    if (pages.unpacked > most) throw tooMuch(`row group ${i + 1}`);
    // The decoder goes over all groups that it is told of, once a call.
    const alone = { ...metadata, row_groups: [group], num_rows: group.num_rows };
    for (const [j, row] of (await decoded(file, alone, rowEnd - rowStart)).entries()) {
      const own = rowBytes(row, mostLevels);
      if (own === Number.POSITIVE_INFINITY)
        throw new Error(`row ${rowStart + j + 1}: nests lists or structs more than ${mostLevels} deep`);
      if (own > mostRowBytes)
        throw new Error(`row ${rowStart + j + 1}: has more than ${mostRowMebibytes} MiB`);
      bytes += own;
      if (bytes > most) throw tooMuch(`row ${rowStart + j + 1}`);
      yield { row: withValues(row), bytes: own };
    }
    rowStart = rowEnd;
  }
}

function readMetadata(file: RangedFile): FileMetaData {
  if (file.size < 12) throw new Error('is cut off: it does not end as a Parquet file does');
  const end = file.read(file.size - 8, file.size);
  const magic = String.fromCharCode(...end.subarray(-4));
  if (magic !== 'PAR1') throw new Error('is cut off: it does not end as a Parquet file does');
  const length = new DataView(end.buffer).getUint32(0, true);
  if (length > Math.min(largestFooter, file.size - 12))
    throw new Error(`its footer claims ${length} bytes of ${file.size}; at most ${largestFooter} are read`);
  return readable(() => parquetMetadata(file.read(file.size - 8 - length, file.size), { geoparquet: false }));
}

/**
 * @returns the bytes of its pages, as they lie there and as they come to
 * @throws Error where a row group would come to more than may be in memory
 */
function checkGroup(
  file: RangedFile,
  { columns }: RowGroup,
  index: number,
): { packed: number; unpacked: number } {
  let [bytes, cells, packed] = [0, 0, 0];
  for (const { meta_data: column } of columns) {
    if (column === undefined) throw new Error(`row group ${index + 1} has a column without a description`);
    const name = `row group ${index + 1}, column ${JSON.stringify(column.path_in_schema.join('.').slice(0, 64))}`;
    const values = countOf(column.num_values, `${name} claims its values`);
    if (values > mostValues)
      throw new Error(`${name} claims ${values} values, more than ${mostValues}; write smaller row groups`);
    cells += values;
    if (cells > mostCells)
      throw new Error(
        `row group ${index + 1} claims more than ${mostCells} values in its ${columns.length} columns; write smaller row groups, or leave columns out`,
      );
    bytes += readable(() => checkPages(file, column, largestGroup - bytes));
    packed += Number(column.total_compressed_size);
  }
  if (bytes > largestGroup)
    throw new Error(
      `row group ${index + 1} expands to more than ${largestGroup} bytes; write smaller row groups`,
    );
  return { packed, unpacked: bytes };
}

function countOf(count: bigint | number, what: string): number {
  const value = Number(count);
  if (!Number.isSafeInteger(value) || value < 0) throw new Error(`${what} as ${count}; the file is damaged`);
  return value;
}

/** The first rows of what the metadata tells of. */
async function decoded(
  file: RangedFile,
  metadata: FileMetaData,
  rowEnd: number,
): Promise<Record<string, unknown>[]> {
  const buffer: AsyncBuffer = {
    byteLength: file.size,
    slice: (start, end = file.size) => file.read(start, end).buffer,
  };
  try {
    const compressors = await compressorsFor(metadata);
    return await parquetReadObjects({
      file: buffer,
      metadata,
      rowEnd,
      compressors,
      parsers: { stringFromBytes },
    });
  } catch (error) {
    throw notReadable(error);
  }
}

// A byte order mark is a character of a cell's text.
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** What is no UTF-8 stays bytes: a column that is asked for refuses them as no text. */
function stringFromBytes(bytes: Uint8Array | undefined): string | Uint8Array | undefined {
  if (bytes === undefined) return undefined;
  try {
    return utf8.decode(bytes);
  } catch {
    return bytes;
  }
}

type Unpack = NonNullable<Compressors['GZIP']>;

/** A page of nothing, as a column of nulls has it: no library takes 0 for the size of what is to come out. */
const unlessEmpty =
  (unpack: Unpack): Unpack =>
  (input, size) =>
    size === 0 ? new Uint8Array() : unpack(input, size);

/** Every codec of the format but LZO; no more is unpacked than the page's header says. */
const compressors: Compressors = {
  SNAPPY: unlessEmpty((input, size) => {
    const page = new Uint8Array(size);
    snappyUncompress(input, page);
    return page;
  }),
  GZIP: unlessEmpty((input, size) => gunzipSync(input, { maxOutputLength: size })),
  ZSTD: unlessEmpty((input, size) => zstdDecompressSync(input, { maxOutputLength: size })),
  BROTLI: unlessEmpty((input, size) => brotliDecompressSync(input, { maxOutputLength: size })),
};

/** LZ4 is rare, and its package takes a while to load. */
async function compressorsFor({ row_groups: groups }: FileMetaData): Promise<Compressors> {
  const usesLz4 = groups.some(({ columns }) =>
    columns.some((column) => column.meta_data?.codec.startsWith('LZ4')),
  );
  if (!usesLz4) return compressors;
  const { decompressLz4, decompressLz4Raw } = await import('hyparquet-compressors');
  return { ...compressors, LZ4: unlessEmpty(decompressLz4), LZ4_RAW: unlessEmpty(decompressLz4Raw) };
}

/** As JSON has it: whole numbers as numbers, and no member where Parquet has a null. */
function withValues(row: Record<string, unknown>): unknown {
  return Object.fromEntries(
    Object.entries(toJson(row) as Record<string, unknown>).filter(([, value]) => value !== null),
  );
}

function readable<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw notReadable(error);
  }
}

/** The system's own error stays. A syntax error quotes the text that it is about, which is somebody's row. */
const notReadable = (error: unknown) =>
  isOfSystem(error)
    ? error
    : new Error(
        `cannot be read as Parquet: ${error instanceof SyntaxError ? 'a value in it is not of the type that its column says' : (error as Error).message}`,
      );
