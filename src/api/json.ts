// JSON from outside, parsed within bounds of size, depth and number of values; also as Python's json writes it.

/** What JSON from outside may hold: checked before anything is made of it, so that a hostile one costs neither memory nor time. */
export interface JsonBounds {
  readonly bytes: number;
  /** How deep lists and objects may stand in each other. */
  readonly depth: number;
  readonly values: number;
  /** Of a name in the outermost object, in bytes; such names are listed only where it is given. */
  readonly name?: number;
}

/** What is about files, a manifest or a page of a list: none has more than 10,000 files, of a handful of values each. */
export const listingBounds: JsonBounds = { bytes: 16 << 20, depth: 64, values: 1 << 17 };

/**
 * The value of JSON from outside, within bounds; UTF-8, with or without a byte order mark.
 * @throws Error that says what is wrong, and quotes nothing
 */
export function parseJson(bytes: Uint8Array, bounds: JsonBounds): unknown {
  outline(bytes, bounds);
  return parsed(decoded(bytes));
}

/**
 * As `parseJson`, of what Python's json writes: `Infinity` is read as such; NaN becomes the text 'NaN', which no number's
 * schema takes.
 * @returns the value, and the text without its mark
 * @throws Error that says what is wrong, and quotes nothing
 */
export function parsePythonJson(bytes: Uint8Array, bounds: JsonBounds): { value: unknown; text: string } {
  const { words } = outline(bytes, bounds, { words: true });
  const text = decoded(bytes);
  return { value: parsed(words.length > 0 ? withNumbers(bytes, words) : text), text };
}

function decoded(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new Error('is not UTF-8');
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The parser's own message quotes the text.
    throw new Error('is not JSON');
  }
}

interface Outline {
  /** Of the outermost object, as they are meant, in their order. */
  readonly keys: string[];
  /** Where Python's words for numbers stand, where these are looked for. */
  readonly words: { at: number; word: PythonWord }[];
}

/** Python's words, and JSON that stands for them: 1e999 is read as infinity. */
const pythonWords = { Infinity: '1e999', '-Infinity': '-1e999', NaN: '"NaN"' } as const;
type PythonWord = keyof typeof pythonWords;

/**
 * Goes over JSON text without making anything of it, so that a hostile one costs no memory.
 * @throws Error at a bound, with what is wrong
 */
export function outline(
  bytes: Uint8Array,
  { bytes: longest, depth: deepest, values: most, name }: JsonBounds,
  { words: looksForWords = false } = {},
): Outline {
  if (bytes.length > longest) throw new Error(`has ${bytes.length} bytes; at most ${longest} are read`);
  const [keys, words]: [string[], Outline['words']] = [[], []];
  let [depth, values] = [0, 0];
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] as number;
    if (byte === quote) {
      const end = endOfText(bytes, at);
      if (name !== undefined && depth === 1 && bytes[afterSpace(bytes, end + 1)] === colon)
        keys.push(keyOf(bytes, { start: at, end, longest: name }));
      at = end;
    } else if (byte === brace || byte === bracket) {
      values++;
      if (++depth > deepest) throw new Error(`nests more than ${deepest} deep`);
    } else if (byte === brace + 2 || byte === bracket + 2) {
      depth--;
    } else if (byte === comma) {
      values++;
    } else if (looksForWords) {
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

function keyOf(
  bytes: Uint8Array,
  { start, end, longest }: Record<'start' | 'end' | 'longest', number>,
): string {
  if (end - start > longest) throw new Error(`has a name of ${end - start - 1} bytes`);
  try {
    return JSON.parse(new TextDecoder().decode(bytes.subarray(start, end + 1))) as string;
  } catch {
    throw new Error('is not JSON');
  }
}

const wordBytes = (Object.keys(pythonWords) as PythonWord[]).map((word) => ({
  word,
  bytes: new TextEncoder().encode(word),
}));

/** Everything else that is no text is left to the parser. */
function wordAt(bytes: Uint8Array, at: number): PythonWord | undefined {
  for (const { word, bytes: wanted } of wordBytes) {
    let same = 0;
    while (same < wanted.length && bytes[at + same] === wanted[same]) same++;
    if (same === wanted.length) return word;
  }
  return undefined;
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
