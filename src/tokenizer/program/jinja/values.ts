// What a template computes with: Python's values, and what they are as text, as truth and beside each other.
import { Fault, fail, unsupported } from './faults.ts';
import { floatText } from './numbers.ts';
import { comparePoints, literal, pointCount, points } from './text.ts';

/** Integers are bigint, floats number; a mapping has names only. */
export type Value =
  | null
  | boolean
  | bigint
  | number
  | string
  | Value[]
  | Map<string, Value>
  | Tuple
  | Range
  | Undefined
  | Namespace
  | Callable
  | Lazy
  | View
  | Dated
  | Attributes;

/** What nothing was given for. */
export class Undefined {
  readonly kind = 'undefined';
}
export const missing = new Undefined();

export class Tuple {
  readonly items: readonly Value[];
  constructor(items: readonly Value[]) {
    this.items = items;
  }
}

export class Range {
  readonly bounds: readonly [start: bigint, stop: bigint, step: bigint];
  readonly items: readonly bigint[];
  constructor(bounds: Range['bounds'], items: readonly bigint[]) {
    this.bounds = bounds;
    this.items = items;
  }
}

export class Namespace {
  readonly names: Map<string, Value>;
  constructor(names: Map<string, Value>) {
    this.names = names;
  }
}

export interface Arguments {
  readonly list: readonly Value[];
  readonly named: ReadonlyMap<string, Value>;
}

/** A function, a macro or a method. */
export class Callable {
  readonly call: (given: Arguments) => Value;
  constructor(call: (given: Arguments) => Value) {
    this.call = call;
  }
}

/** What Python makes of filters such as `map`: gone through once, without a length. */
export class Lazy {
  #items: Iterator<Value>;
  constructor(items: Iterable<Value>) {
    this.#items = items[Symbol.iterator]();
  }
  *[Symbol.iterator](): Generator<Value> {
    for (let next = this.#items.next(); !next.done; next = this.#items.next()) yield next.value;
  }
}

/** `keys()`, `values()` and `items()` of a mapping. */
export class View {
  readonly name: string;
  readonly items: readonly Value[];
  constructor(name: string, items: readonly Value[]) {
    this.name = name;
    this.items = items;
  }
}

/** What the clock says: it is written, and nothing else may be asked of it. */
export class Dated {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** An object with attributes of its own: `loop`. */
export class Attributes {
  readonly get: (name: string) => Value;
  constructor(get: (name: string) => Value) {
    this.get = get;
  }
}

const clock = () => {
  throw new Fault(
    'it asks more of the clock than to be written: equal rows must give equal tokens on any day',
  );
};

export const isNumber = (value: Value): value is boolean | bigint | number =>
  typeof value === 'boolean' || typeof value === 'bigint' || typeof value === 'number';
/** A truth value is a number in Python. */
export const numberOf = (value: boolean | bigint | number): bigint | number =>
  typeof value === 'boolean' ? BigInt(value) : value;

/** As `str` writes it. */
export function textOf(value: Value): string {
  if (value instanceof Undefined) return '';
  return typeof value === 'string' ? value : shown(value);
}

/** As `repr` writes it. */
function shown(value: Value): string {
  if (value === null) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'bigint') return integerText(value);
  if (typeof value === 'number') return floatText(value);
  if (typeof value === 'string') return literal(value);
  if (Array.isArray(value)) return `[${value.map(shown).join(', ')}]`;
  if (value instanceof Tuple)
    return `(${value.items.map(shown).join(', ')}${value.items.length === 1 ? ',' : ''})`;
  if (value instanceof Map)
    return `{${[...value].map(([name, item]) => `${literal(name)}: ${shown(item)}`).join(', ')}}`;
  if (value instanceof Range) {
    const [start, stop, step] = value.bounds;
    return `range(${start}, ${stop}${step === 1n ? '' : `, ${step}`})`;
  }
  if (value instanceof View) return `dict_${value.name}([${value.items.map(shown).join(', ')}])`;
  if (value instanceof Undefined) return 'Undefined';
  if (value instanceof Dated) return clock();
  return unsupported('the text of a function, a loop, a namespace or what a filter goes through');
}

/** Python writes no integer of more digits. */
const largest = 10n ** 4000n;
function integerText(value: bigint): string {
  return value < largest && -value < largest ? value.toString() : fail();
}

export function truthOf(value: Value): boolean {
  if (value === null || value instanceof Undefined) return false;
  if (typeof value === 'string' || isNumber(value)) return Boolean(value);
  if (Array.isArray(value)) return value.length > 0;
  if (value instanceof Map) return value.size > 0;
  if (value instanceof Tuple || value instanceof Range || value instanceof View)
    return value.items.length > 0;
  return value instanceof Dated ? clock() : true;
}

export function lengthOf(value: Value): number {
  if (typeof value === 'string') return pointCount(value);
  if (Array.isArray(value)) return value.length;
  if (value instanceof Map) return value.size;
  if (value instanceof Tuple || value instanceof Range || value instanceof View) return value.items.length;
  if (value instanceof Undefined) return 0;
  return value instanceof Dated ? clock() : fail();
}

export function itemsOf(value: Value): Iterable<Value> {
  if (typeof value === 'string') return points(value);
  if (Array.isArray(value) || value instanceof Lazy) return value;
  if (value instanceof Map) return [...value.keys()];
  if (value instanceof Tuple || value instanceof Range || value instanceof View) return value.items;
  if (value instanceof Undefined) return [];
  return value instanceof Dated ? clock() : fail();
}

export function areEqual(a: Value, b: Value): boolean {
  if (a instanceof Dated || b instanceof Dated) return clock();
  // biome-ignore lint/suspicious/noDoubleEquals: an integer and a float of one value are equal
  if (isNumber(a) && isNumber(b)) return numberOf(a) == numberOf(b);
  if (Array.isArray(a) && Array.isArray(b)) return sameItems(a, b);
  if (a instanceof Tuple && b instanceof Tuple) return sameItems(a.items, b.items);
  if (a instanceof Range && b instanceof Range) return sameItems(a.items, b.items);
  if (a instanceof Map && b instanceof Map)
    return a.size === b.size && [...a].every(([name, item]) => b.has(name) && areEqual(item, b.get(name)!));
  if (a instanceof Undefined && b instanceof Undefined) return true;
  if (a instanceof Callable || a instanceof View) return unsupported('a comparison of functions or views');
  return a === b;
}

const sameItems = (a: readonly Value[], b: readonly Value[]) =>
  a.length === b.length && a.every((item, i) => areEqual(item, b[i]!));

/** Below, at or above zero. @throws Fault where Python knows no order */
export function compare(a: Value, b: Value): number {
  if (a instanceof Dated || b instanceof Dated) return clock();
  if (isNumber(a) && isNumber(b)) {
    const [left, right] = [numberOf(a), numberOf(b)];
    // biome-ignore lint/suspicious/noDoubleEquals: an integer and a float of one value are equal
    return left < right ? -1 : left == right ? 0 : left > right ? 1 : Number.NaN;
  }
  if (typeof a === 'string' && typeof b === 'string') return comparePoints(a, b);
  if (Array.isArray(a) && Array.isArray(b)) return compareItems(a, b);
  return a instanceof Tuple && b instanceof Tuple ? compareItems(a.items, b.items) : fail();
}

function compareItems(a: readonly Value[], b: readonly Value[]): number {
  const at = a.findIndex((item, i) => i >= b.length || !areEqual(item, b[i]!));
  if (at < 0) return a.length - b.length;
  return at >= b.length ? 1 : compare(a[at]!, b[at]!);
}

export function isIn(value: Value, all: Value): boolean {
  if (typeof all === 'string') return typeof value === 'string' ? all.includes(value) : fail();
  if (all instanceof Map) {
    if (Array.isArray(value) || value instanceof Map) return fail();
    if (value instanceof Dated) return clock();
    return typeof value === 'string' && all.has(value);
  }
  if (all instanceof Lazy) return unsupported('in behind a filter that is gone through once');
  for (const item of itemsOf(all)) if (item === value || areEqual(item, value)) return true;
  return false;
}

/** What stands at a place or slice. */
export function sliceOf(value: Value, bounds: readonly [from: Value, to: Value, step: Value]): Value {
  const items = typeof value === 'string' ? points(value) : value instanceof Tuple ? value.items : value;
  if (!Array.isArray(items))
    return value instanceof Undefined ? fail() : unsupported('a slice of no list or text');
  const [from, to, step = 1] = bounds.map((bound) => {
    if (bound === null) return undefined;
    return typeof bound === 'bigint' || typeof bound === 'boolean' ? Number(bound) : fail();
  });
  if (step === 0) return fail();
  const count = items.length;
  const [first, last] = step > 0 ? [0, count] : [-1, count - 1];
  const place = (bound: number | undefined, otherwise: number) => {
    if (bound === undefined) return otherwise;
    return Math.min(Math.max(bound < 0 ? bound + count : bound, first), last);
  };
  const [start, end] =
    step > 0 ? [place(from, 0), place(to, count)] : [place(from, count - 1), place(to, -1)];
  const taken: Value[] = [];
  for (let i = start; step > 0 ? i < end : i > end; i += step) taken.push(items[i] as Value);
  if (typeof value === 'string') return taken.join('');
  return value instanceof Tuple ? new Tuple(taken) : taken;
}
