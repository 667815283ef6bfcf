import { closeSync, openSync, readSync } from 'node:fs';
import { badData } from '../api/index.ts';

const chunkBytes = 1 << 20;
const newline = 0x0a;
const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * The values of a file of JSON lines, one chunk of the file in memory at a time.
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

/** The file's lines without their line feed; the last one may lack it. */
function* lines(path: string): Generator<Uint8Array> {
  const file = open(path);
  try {
    let rest = Buffer.alloc(0);
    for (;;) {
      const chunk = Buffer.allocUnsafe(chunkBytes);
      const count = read(file, chunk, path);
      if (count === 0) break;
      const parts: Buffer[] = [rest];
      let start = 0;
      for (let end = chunk.indexOf(newline); end >= 0 && end < count; end = chunk.indexOf(newline, start)) {
        parts.push(chunk.subarray(start, end));
        yield Buffer.concat(parts.splice(0));
        start = end + 1;
      }
      parts.push(chunk.subarray(start, count));
      rest = Buffer.concat(parts);
    }
    if (rest.length > 0) yield rest;
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
