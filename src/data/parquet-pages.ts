// The check of Parquet page headers: nothing is decompressed that claims too much.
import type { ColumnMetaData } from 'hyparquet';
import { deserializeTCompactProtocol } from 'hyparquet/src/thrift.js';
import type { RangedFile } from './ranged-file.ts';

/** The most bytes of a page's header: statistics in it may hold a longest text. */
const largestHeader = 16 << 20;
const usualHeader = 1 << 16;

/**
 * Goes over the headers of a column's pages, so that none claims more values than the column has, or unpacks to more than is
 * left.
 * @returns the bytes that the pages come to
 * @throws Error naming what is claimed
 */
export function checkPages(file: RangedFile, column: ColumnMetaData, bytesLeft: number): number {
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

function readHeader(file: RangedFile, at: number, end: number): Page {
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

/** parquet.thrift's PageHeader: its type in field 1, sizes in fields 2 and 3, then a description of each type of page. */
function pageOf(header: Record<string, unknown>, headerSize: number): Page {
  const { field_1: type, field_2: unpacked, field_3: packed } = header as Record<string, number>;
  // By the type, as the decoder chooses: a header may have more than one description.
  const described = (header[descriptions.get(type) ?? ''] ?? { field_1: 0 }) as Record<string, number>;
  const values = described['field_1'];
  const nulls = type === dataPageV2 ? described['field_2'] : 0;
  if (!isSize(unpacked) || !isSize(packed) || !isSize(values))
    throw new Error('a page has a header without sizes');
  // The decoder takes them off the values.
  if (!isSize(nulls) || nulls > values)
    throw new Error(`a page claims ${nulls} nulls among ${values} values; the file is damaged`);
  return { dictionary: type === dictionaryPage, values, size: headerSize + packed, unpacked };
}

const [dataPage, dictionaryPage, dataPageV2] = [0, 2, 3];
const descriptions = new Map<unknown, string>([
  [dataPage, 'field_5'],
  [dictionaryPage, 'field_7'],
  [dataPageV2, 'field_8'],
]);

const isSize = (value: unknown): value is number => Number.isInteger(value) && (value as number) >= 0;
