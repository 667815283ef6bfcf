import { badModel } from '../api/index.ts';
import { longestName, RandomAccessFile } from './file.ts';
import { foreignKind } from './foreign.ts';

/** What JSON from outside may hold. */
export interface JsonBounds {
  readonly bytes: number;
  /** How deep lists and objects may stand in each other. */
  readonly depth: number;
  readonly values: number;
}

/** config.json and its like: the largest that are published have some hundred kilobytes (a label for each class). */
export const configBounds: JsonBounds = { bytes: 4 << 20, depth: 64, values: 1 << 18 };

/**
 * Reads a JSON file of a model: UTF-8, with or without a byte order mark, within bounds that are checked before anything is
 * made of it. `Infinity` is read as Python's json writes it; NaN becomes the text 'NaN', which no number's schema takes.
 * @returns the value, and the text without its mark
 * @throws OffsiteError BadModel naming the file, and what it is where it is another kind of file
 */
export function readJsonFile(path: string, bounds = configBounds): { value: unknown; text: string } {
  const bytes = readWhole(path, bounds.bytes);
  try {
    return parseJson(bytes, bounds);
  } catch (error) {
    throw badModel(`${path}: ${foreignKind(bytes) ?? (error as Error).message}`);
  }
}

function readWhole(path: string, most: number): Uint8Array {
  const file = new RandomAccessFile(path);
  try {
    if (file.size > most)
      throw badModel(`${path}: has ${file.size} bytes; at most ${most} are read of such a file`);
    return file.read(0, file.size);
  } finally {
    file.close();
  }
}

/** @throws Error that says what is wrong, and quotes nothing */
export function parseJson(bytes: Uint8Array, bounds: JsonBounds): { value: unknown; text: string } {
  const { words } = outline(bytes, bounds);
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new Error('is not UTF-8');
  }
  try {
    return { value: JSON.parse(words.length > 0 ? withNumbers(bytes, words) : text), text };
  } catch {
    throw new Error('is not JSON');
  }
}

interface Outline {
  /** Of the outermost object, as they are meant, in their order. */
  readonly keys: string[];
  /** Where Python's words for numbers stand. */
  readonly words: { at: number; word: PythonWord }[];
}

/** Python's words, and JSON that stands for them: 1e999 is read as infinity. */
const pythonWords = { Infinity: '1e999', '-Infinity': '-1e999', NaN: '"NaN"' } as const;
type PythonWord = keyof typeof pythonWords;

/**
 * Goes over JSON text without making anything of it, so that a hostile one costs no memory.
 * @throws Error at a bound, with what is wrong
 */
export function outline(bytes: Uint8Array, { depth: deepest, values: most }: JsonBounds): Outline {
  const [keys, words]: [string[], Outline['words']] = [[], []];
  let [depth, values] = [0, 0];
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] as number;
    if (byte === quote) {
      const end = endOfText(bytes, at);
      if (depth === 1 && bytes[afterSpace(bytes, end + 1)] === colon) keys.push(keyOf(bytes, at, end));
      at = end;
    } else if (byte === brace || byte === bracket) {
      values++;
      if (++depth > deepest) throw new Error(`nests more than ${deepest} deep`);
    } else if (byte === brace + 2 || byte === bracket + 2) {
      depth--;
    } else if (byte === comma) {
      values++;
    } else {
      const word = wordAt(bytes, at);
      if (word === undefined) continue;
      words.push({ at, word });
      at += word.length - 1;
    }
    if (values > most || words.length > most) throw new Error(`holds more than ${most} values`);
  }
  return { keys, words };
}

const [quote, backslash, comma, colon, brace, bracket] = [0x22, 0x5c, 0x2c, 0x3a, 0x7b, 0x5b];

/** Where the text that starts at `start` ends: a quote behind an even number of backslashes, or the last byte. */
function endOfText(bytes: Uint8Array, start: number): number {
  for (let end = bytes.indexOf(quote, start + 1); end >= 0; end = bytes.indexOf(quote, end + 1)) {
    let before = end;
    while (bytes[before - 1] === backslash) before--;
    if ((end - before) % 2 === 0) return end;
  }
  return bytes.length - 1;
}

function afterSpace(bytes: Uint8Array, start: number): number {
  let at = start;
  while (at < bytes.length && (bytes[at] as number) <= 0x20) at++;
  return at;
}

function keyOf(bytes: Uint8Array, start: number, end: number): string {
  if (end - start > longestName) throw new Error(`has a name of ${end - start - 1} bytes`);
  try {
    return JSON.parse(new TextDecoder().decode(bytes.subarray(start, end + 1))) as string;
  } catch {
    throw new Error('is not JSON');
  }
}

/** N, I or - start a word; everything else that is no text is left to the parser. */
function wordAt(bytes: Uint8Array, at: number): PythonWord | undefined {
  const byte = bytes[at];
  if (byte !== 0x4e && byte !== 0x49 && byte !== 0x2d) return undefined;
  const next = String.fromCharCode(...bytes.subarray(at, at + 9));
  return (Object.keys(pythonWords) as PythonWord[]).find((word) => next.startsWith(word));
}

function withNumbers(bytes: Uint8Array, words: Outline['words']): string {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let done = 0;
  let text = '';
  for (const { at, word } of words) {
    text += decoder.decode(bytes.subarray(done, at)) + pythonWords[word];
    done = at + word.length;
  }
  return text + decoder.decode(bytes.subarray(done));
}
