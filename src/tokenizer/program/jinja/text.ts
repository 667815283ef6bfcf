// Python's texts: sequences of code points, with its blanks and cases.
import { unsupported } from './faults.ts';

/** What `str.isspace` takes. */
export const spaces: ReadonlySet<string> = new Set(
  '\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000',
);
const lineEnds = new RegExp(`\r\n|[${['\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029'].join('')}]`, 'g');

const isPlain = (text: string) => !/[\ud800-\udfff]/.test(text);

export const points = (text: string): string[] => (isPlain(text) ? text.split('') : Array.from(text));
export const pointCount = (text: string): number => (isPlain(text) ? text.length : points(text).length);

export function comparePoints(a: string, b: string): number {
  if (a === b) return 0;
  if (isPlain(a) && isPlain(b)) return a < b ? -1 : 1;
  const [left, right] = [points(a), points(b)];
  const at = left.findIndex((point, i) => point !== right[i]);
  if (at < 0) return -1;
  if (right[at] === undefined) return 1;
  return left[at]!.codePointAt(0)! - right[at].codePointAt(0)!;
}

/** `str.strip`, or on one side alone; of Python's blanks where nothing is named. */
export function stripped(
  text: string,
  {
    left = true,
    right = true,
    of = spaces,
  }: { left?: boolean; right?: boolean; of?: ReadonlySet<string> } = {},
): string {
  const all = points(text);
  let [from, to] = [0, all.length];
  while (left && from < to && of.has(all[from]!)) from++;
  while (right && to > from && of.has(all[to - 1]!)) to--;
  return all.slice(from, to).join('');
}

/** By runs of blanks: at most so many cuts, from the left; the rest keeps its blanks. */
export function splitAtBlanks(text: string, most = Number.POSITIVE_INFINITY): string[] {
  const all = points(text);
  const parts: string[] = [];
  for (let at = 0; ; ) {
    while (at < all.length && spaces.has(all[at]!)) at++;
    if (at === all.length) return parts;
    let end = at;
    if (parts.length < most) while (end < all.length && !spaces.has(all[end]!)) end++;
    else end = all.length;
    parts.push(all.slice(at, end).join(''));
    at = end;
  }
}

export function split(text: string, by: string, most = Number.POSITIVE_INFINITY): string[] {
  const parts = text.split(by);
  return parts.length - 1 <= most ? parts : [...parts.slice(0, most), parts.slice(most).join(by)];
}

export function splitFromRight(text: string, by: string, most = Number.POSITIVE_INFINITY): string[] {
  const parts: string[] = [];
  let rest = text;
  // A separator that overlaps itself is found from the right.
  while (parts.length < most) {
    const at = rest.length < by.length ? -1 : rest.lastIndexOf(by, rest.length - by.length);
    if (at < 0) break;
    parts.unshift(rest.slice(at + by.length));
    rest = rest.slice(0, at);
  }
  return [rest, ...parts];
}

export function lines(text: string): string[] {
  const all = text.split(lineEnds);
  if (all.at(-1) === '') all.pop();
  return all;
}

export function replaced(text: string, old: string, by: string, most = Number.POSITIVE_INFINITY): string {
  if (old !== '') {
    const parts = split(text, old, most);
    return parts.join(by);
  }
  const all = points(text);
  return [...all, ''].map((point, i) => (i < most ? by + point : point)).join('');
}

export const upper = (text: string): string => text.toUpperCase();
export const lower = (text: string): string => text.toLowerCase();

/** Whether a character's title case is its upper case; of some letters it is another, which JavaScript does not know. */
const hasPlainTitle =
  /^[\p{ASCII}\x80-\xde\xe0-\u0148\u014a-\u01c3\u01cd-\u01ef\u01f4-\u024f\u0370-\u0373\u0376\u0377\u0391-\u03a9\u03b1-\u03c9\u0400-\u052f]$/u;

export function capitalized(text: string): string {
  const [first = '', ...rest] = points(text);
  const isCaseless = first.toUpperCase() === first && first.toLowerCase() === first;
  if (first !== '' && !isCaseless && !hasPlainTitle.test(first)) unsupported('a capital of a rare letter');
  // A letter keeps its place, so that what follows knows whether it ends a word.
  return first.toUpperCase() + lower(first + rest.join('')).slice(lower(first).length);
}
