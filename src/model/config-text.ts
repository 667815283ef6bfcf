// config.json as text: what stands in it is written as transformers takes it, and all else is left as it is.
import { canonicalJson } from '../artifact/index.ts';

type Settings = Readonly<Record<string, unknown>>;

/**
 * A configuration as a bundle has it: sorted names and no white space, so that equal ones have equal bytes.
 * @param floats the family's
 */
export const canonicalConfig = (config: Settings, floats: readonly string[]): string =>
  withPoints(canonicalJson(config), floats);

/** A configuration as whoever opens it would read it, where there is no text of it. */
export const readableConfig = (config: Settings, floats: readonly string[]): string =>
  withPoints(`${JSON.stringify(config, null, 2)}\n`, floats);

/** JavaScript has one number for 30 and 30.0. */
const withPoints = (text: string, floats: readonly string[]): string =>
  rewritten(text, (name, written) =>
    floats.includes(name) && /^-?\d+$/.test(written) ? `${written}.0` : written,
  );

/**
 * JSON of a mapping with some of its own numbers and literals written otherwise; all else stays as it is written.
 * @param as what the member of a name is to be written as, by what it is written as
 */
export function rewritten(text: string, as: (name: string, written: string) => string): string {
  let [depth, result, end] = [0, '', 0];
  for (const { 0: token, index } of text.matchAll(/"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\]]/g)) {
    if (token === '{' || token === '[') depth++;
    else if (token === '}' || token === ']') depth--;
    else if (depth === 1) {
      const member = /\s*:\s*([^\s"{}[\],]+)/y;
      member.lastIndex = index + token.length;
      const [, written] = member.exec(text) ?? [];
      if (written === undefined) continue;
      const start = member.lastIndex - written.length;
      // A name may be written with escapes.
      result += text.slice(end, start) + as(JSON.parse(token) as string, written);
      end = member.lastIndex;
    }
  }
  return result + text.slice(end);
}
