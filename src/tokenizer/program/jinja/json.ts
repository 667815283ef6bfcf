// JSON as Python's json.dumps writes it.
import { fail } from './faults.ts';
import type { Value } from './values.ts';

export interface JsonOptions {
  readonly ascii: boolean;
  readonly indent: string | undefined;
  readonly separators: readonly [item: string, name: string];
}

export function jsonOf(value: Value, options: JsonOptions, depth = 0): string {
  if (value === null) return 'null';
  if (typeof value === 'boolean' || typeof value === 'bigint') return String(value);
  if (typeof value === 'string') return quoted(value, options.ascii);
  const inner = (item: Value) => jsonOf(item, options, depth + 1);
  if (Array.isArray(value)) return enclosed('[', value.map(inner), ']', options, depth);
  if (!(value instanceof Map)) return fail();
  const written = [...value].map(
    ([name, item]) => quoted(name, options.ascii) + options.separators[1] + inner(item),
  );
  return enclosed('{', written, '}', options, depth);
}

function enclosed(
  open: string,
  items: readonly string[],
  close: string,
  { indent, separators: [separator] }: JsonOptions,
  depth: number,
): string {
  if (items.length === 0 || indent === undefined) return open + items.join(separator) + close;
  const line = `\n${indent.repeat(depth + 1)}`;
  return `${open}${line}${items.join(separator + line)}\n${indent.repeat(depth)}${close}`;
}

function quoted(text: string, ascii: boolean): string {
  const hex = (unit: string) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
  const named: Readonly<Record<string, string>> = {
    '"': '\\"',
    '\\': '\\\\',
    '\n': '\\n',
    '\r': '\\r',
    '\t': '\\t',
    '\f': '\\f',
    '\b': '\\b',
  };
  const inside = text.replace(/["\\]|\p{Cc}/gu, (unit) => named[unit] ?? (unit < ' ' ? hex(unit) : unit));
  return `"${ascii ? inside.replace(/[^ -~]/g, hex) : inside}"`;
}
