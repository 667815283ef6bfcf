/**
 * What the API server hands on is bounded by its text alone: a megabyte of it may be half a million small values, which take
 * twenty times as much memory when they are parsed. Parts of that many are left out before they are.
 */

/** In the place of a field that is left out. No schema lets a text stand where a list or a mapping was. */
export const leftOut = 'left out';

/** Of a field of an object's spec, metadata, status, ...: a pod that is large has some hundreds. */
const mostValues = 20_000;
/** Of all fields of an object that stay, in the order in which they stand: a pod has a score of fields. */
const mostOfObject = 3 * mostValues;
/** With so few characters there cannot be many more values than that. */
const shortEnough = 3 * mostValues;

/** Where the objects stand in an answer: in how many lists and mappings each is, itself counted. */
export const levels = { object: 1, inEvent: 2, inList: 3 } as const;

/**
 * Parses an answer in which fields of objects' parts (`spec.template`, `metadata.labels`) that are made of more values than any
 * in use, each or together, are `leftOut`, if they are of the spec, and else missing.
 * @throws SyntaxError where it is no JSON
 */
export function parseWithoutHugeParts(text: string, level: number): unknown {
  const shorter = withoutHugeParts(text, level + 2);
  const value: unknown = JSON.parse(shorter);
  if (shorter !== text) for (const object of objectsIn(value, level)) tidy(object);
  return value;
}

const [quote, backslash, comma] = [0x22, 0x5c, 0x2c];
const [brace, bracket, endOfBrace, endOfBracket] = [0x7b, 0x5b, 0x7d, 0x5d];

/** Replaces each list and mapping at a level that holds too many values, at any level below, alone or with those before it. */
function withoutHugeParts(text: string, level: number): string {
  if (text.length <= shortEnough) return text;
  const kept: string[] = [];
  let [done, start, depth, values, ofObject] = [0, 0, 0, 0, 0];
  for (let at = 0; at < text.length; at++) {
    const character = text.charCodeAt(at);
    if (character === quote) {
      at = endOfText(text, at);
    } else if (character === comma) {
      values++;
    } else if (character === brace || character === bracket) {
      values++;
      if (++depth === level) [start, values] = [at, 0];
      else if (depth === level - 2) ofObject = 0;
    } else if (character === endOfBrace || character === endOfBracket) {
      if (depth-- !== level) continue;
      if (values <= mostValues && ofObject + values <= mostOfObject) {
        ofObject += values;
        continue;
      }
      kept.push(text.slice(done, start), JSON.stringify(leftOut));
      done = at + 1;
    }
  }
  return kept.length === 0 ? text : [...kept, text.slice(done)].join('');
}

/** Where the text that starts at `start` ends: a quote behind an even number of backslashes, or the last character. */
function endOfText(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let before = end;
    while (text.charCodeAt(before - 1) === backslash) before--;
    if ((end - before) % 2 === 0) return end;
  }
  return text.length - 1;
}

type Mapping = Record<string, unknown>;

const isMapping = (value: unknown): value is Mapping =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function objectsIn(value: unknown, level: number): unknown[] {
  if (!isMapping(value)) return [];
  if (level === levels.object) return [value];
  if (level === levels.inEvent) return [value['object']];
  return Array.isArray(value['items']) ? value['items'] : [];
}

/** Who reads a part takes what is missing for missing. In the spec it must be told from what was never there. */
function tidy(object: unknown): void {
  if (!isMapping(object)) return;
  for (const [name, part] of Object.entries(object))
    if (name !== 'spec' && isMapping(part)) dropLeftOut(part);
}

function dropLeftOut(part: Mapping): void {
  for (const [name, field] of Object.entries(part)) if (field === leftOut) delete part[name];
}
