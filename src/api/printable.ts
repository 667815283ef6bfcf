// Text from outside made safe to show: control, bidirectional and invisible characters become visible escapes.

/**
 * What makes text other than it looks: control characters (and so terminal escapes), line and paragraph separators, marks
 * that turn the direction of writing, characters that have no width or no shape of their own (Unicode's default ignorable code
 * points), halves of characters.
 */
const unprintable = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\uFFF9-\uFFFB]/u;
const everyUnprintable = new RegExp(unprintable, 'gu');

/** The most characters that are shown of one text. */
const mostShown = 8192;
const endShown = 2048;

export const isPrintable = (text: string): boolean => !unprintable.test(text);

/**
 * Text from outside as it may stand in a message, a log or on a terminal: what cannot be printed is written as an escape that
 * can, and of very long text the middle is left out. What is printable already stays as it is.
 */
export function printable(text: string): string {
  const short =
    text.length <= mostShown
      ? text
      : `${text.slice(0, mostShown - endShown)} … (${text.length} characters) … ${text.slice(-endShown)}`;
  return short.replaceAll(everyUnprintable, escapeOf);
}

/** The same for text of several lines, which it keeps. */
export const printableLines = (text: string): string => text.split('\n').map(printable).join('\n');

/** A value as one line of JSON that is printable and means the same. */
export const printableJson = (value: unknown): string =>
  JSON.stringify(value).replaceAll(everyUnprintable, (character) =>
    [...Array(character.length).keys()].map((i) => unit(character.charCodeAt(i))).join(''),
  );

const short: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };
const unit = (code: number) => `\\u${code.toString(16).padStart(4, '0')}`;
const escapeOf = (character: string): string =>
  short[character] ?? `\\u{${(character.codePointAt(0) as number).toString(16)}}`;
