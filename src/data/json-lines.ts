import { closeSync, openSync, readSync } from 'node:fs';
import { badData } from '../api/index.ts';

const chunkBytes = 1 << 20;
/** What a row may have at most: a long book has a few million bytes, and a file that is no JSON lines has no line feeds. */
const mostMebibytes = 16;
const newline = 0x0a;
const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * The values of a file of JSON lines, one chunk of the file and one line of at most 16 MiB in memory at a time.
 * @throws OffsiteError BadData with file and row (counted from 1)
 */
export function* jsonLines(path: string): Generator<unknown> {
  let number = 0;
  for (const line of lines(path)) {
    number++;
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
function* lines(path: string): Generator<Uint8Array> {
  const file = open(path);
  let row = 1;
  // A long line's parts are put together once, at its end.
  let parts: Buffer[] = [];
  let bytes = 0;
  const add = (part: Buffer) => {
    parts.push(part);
    bytes += part.length;
    if (bytes > mostMebibytes << 20)
      throw badData(
        `${path}: row ${row}: has more than ${mostMebibytes} MiB; every line holds one JSON object, of one row`,
      );
  };
  try {
    for (;;) {
      const chunk = Buffer.allocUnsafe(chunkBytes);
      const filled = chunk.subarray(0, read(file, chunk, path));
      if (filled.length === 0) break;
      let start = 0;
      for (let end = filled.indexOf(newline); end >= 0; end = filled.indexOf(newline, start)) {
        add(filled.subarray(start, end));
        yield Buffer.concat(parts);
        [parts, bytes, start] = [[], 0, end + 1];
        row++;
      }
      add(filled.subarray(start));
    }
    if (bytes > 0) yield Buffer.concat(parts);
  } finally {
    closeSync(file);
  }
}

function open(path: string): number {
  try {
    return openSync(path, 'r');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw badData(`${path}: ${code === 'ENOENT' ? 'there is no such file' : `cannot be opened (${code})`}`);
  }
}

function read(file: number, chunk: Buffer, path: string): number {
  try {
    return readSync(file, chunk, 0, chunk.length, null);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw badData(
      `${path}: ${code === 'EISDIR' ? 'is a directory, not a file' : `cannot be read (${code})`}`,
    );
  }
}
