// Streaming JSON lines from outside: each line is bounded before it is parsed.
import { badData, type JsonBounds, outline } from '../api/index.ts';
import type { Files } from '../artifact/index.ts';
import { foreignKind } from '../checkpoint/index.ts';
import { bytesOf } from './bytes.ts';
import { mostRowBytes, mostRowMebibytes } from './row-size.ts';

/** A thousand times what a row of any published set has, in columns that are not read too. */
const rowBounds: JsonBounds = { bytes: mostRowBytes, depth: 256, values: 1 << 20 };
const newline = 0x0a;
const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * The values of a file of JSON lines, one chunk of the file and one line of at most 16 MiB in memory at a time; gzip and zstd
 * are unpacked on the way.
 * @param files opens it
 * @throws OffsiteError BadData with file and row (counted from 1)
 */
export async function* jsonLines(path: string, files: Files): AsyncGenerator<unknown> {
  let number = 0;
  for await (const line of lines(path, files)) {
    number++;
    const other = number === 1 ? foreignKind(line) : undefined;
    if (other !== undefined) throw badData(`${path}: ${other}`);
    yield parseLine(line, `${path}: row ${number}`);
  }
}

function parseLine(line: Uint8Array, where: string): unknown {
  let text: string;
  try {
    text = utf8.decode(line);
  } catch {
    throw badData(`${where}: is not UTF-8`);
  }
  if (text.trim() === '') throw badData(`${where}: is a blank line; every line holds one JSON object`);
  try {
    outline(line, rowBounds);
  } catch (error) {
    throw badData(`${where}: ${(error as Error).message}; every line holds one JSON object, of one row`);
  }
  try {
    return JSON.parse(text);
  } catch {
    // the parser's own message quotes the line
    throw badData(`${where}: is not valid JSON; every line holds one JSON object`);
  }
}

/**
 * The file's lines without their line feed; the last one may lack it.
 * @throws OffsiteError BadData at a line over the limit, before the rest of it is read
 */
async function* lines(path: string, files: Files): AsyncGenerator<Uint8Array> {
  let row = 1;
  // A long line's parts are put together once, at its end.
  let parts: Buffer[] = [];
  let bytes = 0;
  const add = (part: Buffer) => {
    parts.push(part);
    bytes += part.length;
    if (bytes > mostRowBytes)
      throw badData(
        `${path}: row ${row}: has more than ${mostRowMebibytes} MiB; every line holds one JSON object, of one row`,
      );
  };
  for await (const chunk of bytesOf(path, files)) {
    let start = 0;
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
      add(chunk.subarray(start, end));
      yield Buffer.concat(parts);
      [parts, bytes, start] = [[], 0, end + 1];
      row++;
    }
    add(chunk.subarray(start));
  }
  if (bytes > 0) yield Buffer.concat(parts);
}
