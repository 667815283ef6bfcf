// The check of Parquet page headers: nothing is decompressed that claims too much.
import type { ColumnMetaData } from 'hyparquet';
import { deserializeTCompactProtocol } from 'hyparquet/src/thrift.js';
import type { OpenFile } from './ranged-file.ts';

/** The most bytes of a page's header: statistics in it may hold a longest text. */
const largestHeader = 16 << 20;
const usualHeader = 1 << 16;

/**
 * Goes over the headers of a column's pages, so that none claims more values than the column has, or unpacks to more than is
 * left.
 * @returns the bytes that the pages come to
 * @throws Error naming what is claimed
 */
export function checkPages(file: OpenFile, column: ColumnMetaData, bytesLeft: number): number {
  const start = Number(column.dictionary_page_offset || column.data_page_offset);
  const end = start + Number(column.total_compressed_size);
  if (!(start >= 0 && end >= start && end <= file.size))
    throw new Error('a column lies outside the file; it is cut off or damaged');
  const most = Number(column.num_values);
  let [values, bytes] = [0, 0];
  for (let at = start; at < end - 1 && values < most; ) {
    const page = readHeader(file, at, end);
    bytes += page.unpacked;
    if (bytes > bytesLeft)
      throw new Error('a row group expands to more than 1 GiB; write smaller row groups');
    if (page.dictionary ? page.values > page.unpacked + 1 : page.values > most - values)
      throw new Error(`a page claims ${page.values} values, more than there can be`);
    if (!page.dictionary) values += page.values;
    at += page.size;
  }
  return bytes;
}

interface Page {
  dictionary: boolean;
  values: number;
  /** Of the header and what follows it. */
  size: number;
  unpacked: number;
}

function readHeader(file: OpenFile, at: number, end: number): Page {
  for (let window = usualHeader; ; window *= 16) {
    const bytes = file.read(at, Math.min(end, at + window));
    const reader = { view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), offset: 0 };
    try {
      return pageOf(deserializeTCompactProtocol(reader), reader.offset);
    } catch (error) {
      if (at + window >= end || window >= largestHeader) throw error;
    }
  }
}

/** parquet.thrift's PageHeader: sizes in fields 2 and 3, then one of data page, dictionary page and data page v2. */
function pageOf(header: Record<string, unknown>, headerSize: number): Page {
  const { field_2: unpacked, field_3: packed } = header as Record<string, number>;
  const [data, dictionary, second] = [header['field_5'], header['field_7'], header['field_8']];
  const described = (data ?? dictionary ?? second ?? { field_1: 0 }) as Record<string, number>;
  const values = described['field_1'];
  if (!isSize(unpacked) || !isSize(packed) || !isSize(values))
    throw new Error('a page has a header without sizes');
  return { dictionary: dictionary !== undefined, values, size: headerSize + packed, unpacked };
}

const isSize = (value: unknown): value is number => Number.isInteger(value) && (value as number) >= 0;
