// What a template computes with: Python's values, and what they are as text, as truth and beside each other.
import { Fault, fail, unsupported } from './faults.ts';
import { comparePoints, pointCount, points } from './text.ts';

/** A mapping has names only. */
export type Value = null | boolean | bigint | string | Value[] | Map<string, Value> | Undefined;

/** What a name or a namespace's field may hold, too: of these little may be asked. */
export type Held = Value | Namespace | Callable | Dated;

/** What nothing was given for. */
export class Undefined {
  readonly kind = 'undefined';
}
export const missing = new Undefined();

export class Namespace {
  readonly fields: Map<string, Held>;
  constructor(fields: Map<string, Held>) {
    this.fields = fields;
  }
}

export interface Arguments {
  readonly list: readonly Held[];
  readonly named: ReadonlyMap<string, Held>;
}

/** A macro, or what every template is given. */
export class Callable {
  readonly call: (given: Arguments) => Held;
  constructor(call: (given: Arguments) => Held) {
    this.call = call;
  }
}

/** What the clock says: it is written or joined, and nothing else may be asked of it. */
export class Dated {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** @throws Fault where it is more than a value */
export function plain(held: Held): Value {
  if (held instanceof Dated)
    throw new Fault(
      'it asks more of the clock than to be written: equal rows must give equal tokens on any day',
    );
  if (held instanceof Namespace) return unsupported('a namespace as a value');
  return held instanceof Callable ? unsupported('a function as a value') : held;
}

export const isNumber = (value: Held): value is boolean | bigint =>
  typeof value === 'boolean' || typeof value === 'bigint';

/** A text by itself, or one that the clock is in. */
export const isText = (value: Held): value is string | Dated =>
  typeof value === 'string' || value instanceof Dated;

/** As `str` writes it. */
export function textOf(value: Value): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (value === null) return 'None';
  return value instanceof Undefined ? '' : unsupported('the text of a list or mapping');
}

export function joined(parts: readonly Held[]): string | Dated {
  const text = parts.map((part) => (part instanceof Dated ? part.text : textOf(plain(part)))).join('');
  return parts.some((part) => part instanceof Dated) ? new Dated(text) : text;
}

export function truthOf(value: Value): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (value instanceof Map) return value.size > 0;
  return value instanceof Undefined ? false : Boolean(value);
}

export function lengthOf(value: Value): number {
  if (typeof value === 'string') return pointCount(value);
  return value instanceof Map ? value.size : itemsOf(value).length;
}

export function itemsOf(value: Value): readonly Value[] {
  if (typeof value === 'string') return points(value);
  if (Array.isArray(value)) return value;
  if (value instanceof Map) return [...value.keys()];
  return value instanceof Undefined ? [] : fail();
}

export function areEqual(a: Value, b: Value): boolean {
  if (isNumber(a) && isNumber(b)) return BigInt(a) === BigInt(b);
  if (Array.isArray(a) && Array.isArray(b))
    return a.length === b.length && a.every((item, i) => areEqual(item, b[i]!));
  if (a instanceof Map && b instanceof Map)
    return a.size === b.size && [...a].every(([name, item]) => b.has(name) && areEqual(item, b.get(name)!));
  return a === b;
}

/** Below, at or above zero. @throws Fault where Python knows no order, or it is one of lists */
function compare(a: Value, b: Value): number {
  if (isNumber(a) && isNumber(b)) return Number(BigInt(a) - BigInt(b));
  return typeof a === 'string' && typeof b === 'string' ? comparePoints(a, b) : fail();
}

function isIn(value: Value, all: Value): boolean {
  if (typeof all === 'string') return typeof value === 'string' ? all.includes(value) : fail();
  if (all instanceof Map) {
    if (Array.isArray(value) || value instanceof Map) return fail();
    return typeof value === 'string' && all.has(value);
  }
  return itemsOf(all).some((item) => areEqual(item, value));
}

export function holds(operator: string, left: Value, right: Value): boolean {
  switch (operator) {
    case '==':
      return areEqual(left, right);
    case '!=':
      return !areEqual(left, right);
    case 'in':
      return isIn(left, right);
    case 'not in':
      return !isIn(left, right);
    case '<':
      return compare(left, right) < 0;
    case '<=':
      return compare(left, right) <= 0;
    case '>':
      return compare(left, right) > 0;
    default:
      return compare(left, right) >= 0;
  }
}

/** Of a text that is repeated. */
const longestRepeated = 2 ** 20;

export function computed(operator: string, left: Held, right: Held): Held {
  if (isNumber(left) && isNumber(right)) return arithmetic(operator, BigInt(left), BigInt(right));
  if (operator === '+' && isText(left) && isText(right)) return joined([left, right]);
  if (operator === '+' && Array.isArray(left) && Array.isArray(right)) return [...left, ...right];
  if (operator === '*' && typeof left === 'string' && typeof right === 'bigint') {
    const count = right < 0n ? 0 : Number(right);
    return count * left.length > longestRepeated ? unsupported('a text without end') : left.repeat(count);
  }
  return fail();
}

function arithmetic(operator: string, a: bigint, b: bigint): bigint {
  if (operator === '+') return bounded(a + b);
  if (operator === '-') return bounded(a - b);
  if (operator === '*') return bounded(a * b);
  if (b === 0n) return fail();
  const rest = a % b;
  const modulo = rest !== 0n && rest < 0n !== b < 0n ? rest + b : rest;
  return operator === '%' ? modulo : (a - modulo) / b;
}

/** Templates count messages. */
export const bounded = (value: bigint): bigint =>
  BigInt.asIntN(53, value) === value ? value : unsupported('a huge number');

/** What stands at a place or slice. */
export function sliceOf(value: Value, bounds: readonly [from: Value, to: Value, step: Value]): Value {
  const items = typeof value === 'string' ? points(value) : value;
  if (!Array.isArray(items)) return fail();
  const [from, to, step = 1] = bounds.map((bound) => {
    if (bound === null) return undefined;
    return typeof bound === 'bigint' ? Number(bound) : fail();
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
  for (let i = start; step > 0 ? i < end : i > end; i += step) taken.push(items[i]!);
  return typeof value === 'string' ? taken.join('') : taken;
}
