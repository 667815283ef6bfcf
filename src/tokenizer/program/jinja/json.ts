// JSON as Python's json.dumps writes it.
import { fail, unsupported } from './faults.ts';
import { floatText } from './numbers.ts';
import { comparePoints } from './text.ts';
import { Tuple, type Value } from './values.ts';

export interface JsonOptions {
  readonly ascii: boolean;
  readonly indent: string | undefined;
  readonly separators: readonly [item: string, name: string];
  readonly sorted: boolean;
}

export function jsonOf(value: Value, options: JsonOptions, depth = 0): string {
  if (value === null) return 'null';
  if (typeof value === 'boolean') return String(value);
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'number')
    return Number.isFinite(value) ? floatText(value) : unsupported('a number that is none in JSON');
  if (typeof value === 'string') return quoted(value, options.ascii);
  const items = value instanceof Tuple ? value.items : value;
  const inner = (item: Value) => jsonOf(item, options, depth + 1);
  if (Array.isArray(items)) return enclosed('[', items.map(inner), ']', options, depth);
  if (!(value instanceof Map)) return fail();
  const entries = [...value];
  if (options.sorted) entries.sort(([a], [b]) => comparePoints(a, b));
  const written = entries.map(
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
