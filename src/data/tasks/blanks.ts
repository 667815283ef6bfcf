// Python's blanks, by which the published evaluations clear texts: JavaScript's have a byte order mark too, and no separators.
const blank = '[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]';
const [leading, trailing] = [new RegExp(`^${blank}+`), new RegExp(`(?<!${blank})${blank}+$`)];

/** `str.lstrip` */
export const strippedLeft = (text: string): string => text.replace(leading, '');

/** `str.strip` */
export const stripped = (text: string): string => strippedLeft(text).replace(trailing, '');
