// Jinja's filters and tests, as far as templates use them.
import { fail, unsupported } from './faults.ts';
import { type JsonOptions, jsonOf } from './json.ts';
import { inOrder } from './methods.ts';
import { arithmetic } from './numbers.ts';
import { capitalized, lines, lower, points, replaced, spaces, stripped, upper } from './text.ts';
import {
  type Arguments,
  Attributes,
  areEqual,
  Callable,
  compare,
  Dated,
  isIn,
  isNumber,
  itemsOf,
  Lazy,
  lengthOf,
  missing,
  Namespace,
  numberOf,
  Range,
  Tuple,
  textOf,
  truthOf,
  Undefined,
  type Value,
  View,
} from './values.ts';

/** What filters need of the interpreter. */
export interface Using {
  /** What stands in a value under a name or at a place. */
  item(of: Value, at: Value): Value;
}

type Filter = (value: Value, given: readonly Value[], using: Using) => Value;
interface Known {
  readonly names: readonly string[];
  readonly filter: Filter;
}

const known = (names: string, filter: Filter): Known => ({ names: names.split(' ').filter(Boolean), filter });
const onText = (change: (text: string) => string) => known('', (value) => change(plainText(value)));
const absent = (value: Value | undefined): value is undefined | Undefined | null =>
  value === undefined || value === null || value === missing;
const flag = (value: Value | undefined, otherwise = false) =>
  value === undefined || value === missing ? otherwise : truthOf(value);

function plainText(value: Value): string {
  return value instanceof Dated ? unsupported('a filter behind the clock') : textOf(value);
}

/** By a path such as `function.name`. */
function attributeOf(value: Value, path: Value, using: Using): Value {
  if (typeof path === 'bigint') return using.item(value, path);
  const parts = typeof path === 'string' ? path.split('.') : fail();
  return parts.reduce<Value>((of, part) => using.item(of, /^\d+$/.test(part) ? BigInt(part) : part), value);
}

type Key = (value: Value) => Value;

function keyOf(attribute: Value | undefined, cased: boolean, using: Using): Key {
  if (typeof attribute === 'string' && attribute.includes(',')) unsupported('sorting by several attributes');
  const fold = (value: Value) => (!cased && typeof value === 'string' ? lower(value) : value);
  return (value) => fold(absent(attribute) ? value : attributeOf(value, attribute, using));
}

function sorted(values: Iterable<Value>, key: Key, descends: boolean): Value[] {
  const keyed = [...values].map((value) => ({ value, key: key(value) }));
  const order = (a: { key: Value }, b: { key: Value }) => {
    const found = compare(a.key, b.key);
    return Number.isNaN(found) ? fail() : descends ? -found : found;
  };
  return keyed.sort(order).map(({ value }) => value);
}

const wordBeginnings = new RegExp(`([-({\\[<${[...spaces].join('')}]+)`);

const extreme = (sign: number) =>
  known('case_sensitive attribute', (value, [cased, attribute], using) => {
    const key = keyOf(attribute, flag(cased), using);
    const all = [...itemsOf(value)];
    return all.reduce<Value>(
      (best, item, i) => (i === 0 || sign * compare(key(item), key(best)) > 0 ? item : best),
      missing,
    );
  });

function jsonOptions([ascii, indent, separators, sort]: readonly Value[]): JsonOptions {
  const step = absent(indent) ? undefined : typeof indent === 'string' ? indent : blanks(indent);
  const given = separators instanceof Tuple ? separators.items : separators;
  if (!absent(separators) && !(Array.isArray(given) && given.length === 2)) return fail();
  const [item, name] = absent(separators) ? [step === undefined ? ', ' : ',', ': '] : (given as Value[]);
  if (typeof item !== 'string' || typeof name !== 'string') return fail();
  return { ascii: flag(ascii), indent: step, separators: [item, name], sorted: flag(sort) };
}

/** @throws Fault where nothing honest is so wide */
function blanks(width: Value): string {
  const count = Math.max(Number(wholeOf(width)), 0);
  return count > 1000 ? unsupported('an indent of more than 1000 blanks') : ' '.repeat(count);
}

const wholeOf = (value: Value): bigint =>
  typeof value === 'bigint' ? value : typeof value === 'boolean' ? BigInt(value) : fail();

/** As Python's `int` and `float` read a text; undefined where they do not. */
function readNumber(text: string, isWhole: boolean): bigint | number | undefined {
  if (/\P{ASCII}/u.test(stripped(text))) return unsupported('a number in letters beyond ASCII');
  const plain = stripped(text);
  if (isWhole)
    return /^[+-]?\d+(_\d+)*$/.test(plain)
      ? BigInt(plain.replaceAll('_', '').replace(/^\+/, '')) // biome-ignore format: one reading
      : undefined;
  if (/^[+-]?(inf|infinity|nan)$/i.test(plain)) return unsupported('infinity');
  return /^[+-]?(\d+(_\d+)*\.?(\d+(_\d+)*)?|\.\d+(_\d+)*)(e[+-]?\d+(_\d+)*)?$/i.test(plain)
    ? Number(plain.replaceAll('_', ''))
    : undefined;
}

const filterTable: Readonly<Record<string, Known>> = {
  abs: known('', (value) => {
    const number = isNumber(value) ? numberOf(value) : fail();
    return number < 0 ? -number : typeof number === 'number' ? Math.abs(number) : number;
  }),
  capitalize: onText(capitalized),
  default: known('default_value boolean', (value, [otherwise = '', boolean]) =>
    value instanceof Undefined || (flag(boolean) && !truthOf(value)) ? otherwise : value,
  ),
  dictsort: known('case_sensitive by reverse', (value, [cased, by = 'key', reverse]) => {
    const at = by === 'key' || by === missing ? 0 : by === 'value' ? 1 : fail();
    if (!(value instanceof Map)) return fail();
    const fold = keyOf(undefined, flag(cased), { item: fail });
    const pairs = [...value].map((pair) => new Tuple(pair));
    return sorted(pairs, (pair) => fold((pair as Tuple).items[at]!), flag(reverse));
  }),
  first: known('', (value) => {
    for (const item of itemsOf(value)) return item;
    return missing;
  }),
  float: known('default', (value, [otherwise = 0]) => {
    if (isNumber(value)) return Number(numberOf(value));
    return typeof value === 'string' ? (readNumber(value, false) ?? otherwise) : otherwise;
  }),
  indent: known('width first blank', (value, [width = 4n, first, blank]) => {
    const by = typeof width === 'string' ? width : blanks(width);
    const all = lines(`${typeof value === 'string' ? value : fail()}\n`);
    const rest = all.slice(1).map((line) => (line !== '' || flag(blank) ? by + line : line));
    return (flag(first) ? by : '') + [all[0] ?? '', ...rest].join('\n');
  }),
  int: known('default base', (value, [otherwise = 0n, base]) => {
    if (!absent(base) && base !== 10n) return unsupported('int of another base');
    if (typeof value === 'number') return Number.isFinite(value) ? BigInt(Math.trunc(value)) : fail();
    if (isNumber(value)) return numberOf(value);
    if (typeof value !== 'string')
      return value instanceof Dated ? unsupported('a filter behind the clock') : otherwise;
    const read = readNumber(value, true) ?? readNumber(value, false);
    if (typeof read === 'number') return Number.isFinite(read) ? BigInt(Math.trunc(read)) : otherwise;
    return read ?? otherwise;
  }),
  items: known('', (value) => {
    if (value instanceof Undefined) return new Lazy([]);
    return value instanceof Map ? new Lazy([...value].map((pair) => new Tuple(pair))) : fail();
  }),
  join: known('d attribute', (value, [by = '', attribute], using) => {
    const items = [...itemsOf(value)];
    const shown = absent(attribute) ? items : items.map((item) => attributeOf(item, attribute, using));
    return shown.map(plainText).join(by === missing ? '' : plainText(by));
  }),
  last: known('', (value) => {
    if (value instanceof Lazy) return fail();
    return [...itemsOf(value)].at(-1) ?? missing;
  }),
  length: known('', (value) => BigInt(lengthOf(value))),
  list: known('', (value) => [...itemsOf(value)]),
  lower: onText(lower),
  max: extreme(1),
  min: extreme(-1),
  replace: known('old new count', (value, [old, by, most]) => {
    if (old === undefined || by === undefined || old === missing || by === missing) return fail();
    const bound = absent(most) ? undefined : Number(wholeOf(most));
    return replaced(
      plainText(value),
      plainText(old),
      plainText(by),
      bound === undefined || bound < 0 ? undefined : bound,
    );
  }),
  reverse: known('', (value) => {
    if (typeof value === 'string') return points(value).reverse().join('');
    if (value instanceof Lazy) return unsupported('reverse behind a filter that is gone through once');
    return new Lazy([...itemsOf(value)].reverse());
  }),
  sort: known('reverse case_sensitive attribute', (value, [reverse, cased, attribute], using) =>
    sorted(itemsOf(value), keyOf(attribute, flag(cased), using), flag(reverse)),
  ),
  string: known('', (value) => (value instanceof Dated ? value : textOf(value))),
  sum: known('attribute start', (value, [attribute, start = 0n], using) => {
    const items = [...itemsOf(value)].map((item) =>
      absent(attribute) ? item : attributeOf(item, attribute, using),
    );
    return items.reduce<Value>(
      (sum, item) => {
        if (!isNumber(sum) || !isNumber(item)) return unsupported('a sum of what are no numbers');
        return arithmetic('+', numberOf(sum), numberOf(item));
      },
      start === missing ? 0n : start,
    );
  }),
  title: onText((text) =>
    text
      .split(wordBeginnings)
      .map((word) => {
        const [first = '', ...rest] = points(word);
        return upper(first) + lower(rest.join(''));
      })
      .join(''),
  ),
  tojson: known('ensure_ascii indent separators sort_keys', (value, given) =>
    jsonOf(value, jsonOptions(given)),
  ),
  trim: known('chars', (value, [chars]) => {
    if (absent(chars)) return stripped(plainText(value));
    return typeof chars === 'string' ? stripped(plainText(value), { of: new Set(points(chars)) }) : fail();
  }),
  unique: known('case_sensitive attribute', (value, [cased, attribute], using) => {
    const key = keyOf(attribute, flag(cased), using);
    const seen: Value[] = [];
    const firsts = [...itemsOf(value)].filter((item) => {
      const own = key(item);
      if (Array.isArray(own) || own instanceof Map) return fail();
      if (seen.some((other) => areEqual(other, own))) return false;
      seen.push(own);
      return true;
    });
    return new Lazy(firsts);
  }),
  upper: onText(upper),
};

/** Filters that choose or change each item. */
const perItem: Readonly<Record<string, (items: Value[], given: Arguments, using: Using) => Value[]>> = {
  map: (items, given, using) => {
    const attribute = given.named.get('attribute');
    if (attribute !== undefined) {
      const otherwise = given.named.get('default') ?? missing;
      if (
        given.list.length > 0 ||
        [...given.named.keys()].some((name) => !/^(attribute|default)$/.test(name))
      )
        return fail();
      return items.map((item) => {
        const value = attributeOf(item, attribute, using);
        return value instanceof Undefined ? otherwise : value;
      });
    }
    const [name, ...list] = given.list;
    if (typeof name !== 'string') return fail();
    return items.map((item) => applyFilter(name, item, { list, named: given.named }, using));
  },
  select: (items, given) => chosen(items, given, true, (item) => item),
  reject: (items, given) => chosen(items, given, false, (item) => item),
  selectattr: (items, given, using) => chosenBy(items, given, true, using),
  rejectattr: (items, given, using) => chosenBy(items, given, false, using),
};

function chosenBy(
  items: Value[],
  { list: [path, ...list], named }: Arguments,
  wanted: boolean,
  using: Using,
) {
  if (path === undefined) return fail();
  return chosen(items, { list, named }, wanted, (item) => attributeOf(item, path, using));
}

function chosen(
  items: Value[],
  { list: [name, ...list], named }: Arguments,
  wanted: boolean,
  of: Key,
): Value[] {
  if (name !== undefined && typeof name !== 'string') return fail();
  const holds = (value: Value) =>
    name === undefined ? truthOf(value) : applyTest(name, value, { list, named });
  return items.filter((item) => holds(of(item)) === wanted);
}

const otherNames: Readonly<Record<string, string>> = { d: 'default', count: 'length' };

/** Jinja has these, too: a template that comes to one is refused. */
export const rareFilters: ReadonlySet<string> = new Set(
  'attr batch e escape filesizeformat forceescape format groupby pprint random round safe slice striptags truncate urlencode urlize wordcount wordwrap xmlattr'.split(
    ' ',
  ),
);
export const rareTests: ReadonlySet<string> = new Set('escaped filter lower sameas test upper'.split(' '));

export const hasFilter = (name: string) => {
  const own = otherNames[name] ?? name;
  return Object.hasOwn(filterTable, own) || Object.hasOwn(perItem, own);
};

export function applyFilter(name: string, value: Value, given: Arguments, using: Using): Value {
  const own = otherNames[name] ?? name;
  if (Object.hasOwn(perItem, own)) {
    // Python takes nothing to be no items, but only where a filter is not given None.
    if (value === null) return fail();
    return new Lazy(perItem[own]!([...itemsOf(value)], given, using));
  }
  if (!Object.hasOwn(filterTable, own)) return fail();
  const { names, filter } = filterTable[own]!;
  const list = inOrder(given, names);
  return list.length > names.length ? fail() : filter(value, list, using);
}

type Test = (value: Value, other: Value | undefined) => boolean;
const beside = (test: (value: Value, other: Value) => boolean): Test => {
  return (value, other) => test(value, other ?? fail());
};
const isWhole = (value: Value) => typeof value === 'bigint';
const parity = (odd: boolean): Test => {
  return (value) => {
    const number = isNumber(value) ? numberOf(value) : fail();
    if (typeof number === 'number') return unsupported('odd or even of a float');
    return (number % 2n !== 0n) === odd;
  };
};
const equal: Test = beside(areEqual);
const unequal: Test = beside((value, other) => !areEqual(value, other));
const greater: Test = beside((value, other) => compare(value, other) > 0);
const less: Test = beside((value, other) => compare(value, other) < 0);

const testTable: Readonly<Record<string, Test>> = {
  boolean: (value) => typeof value === 'boolean',
  callable: (value) => value instanceof Callable || value instanceof Undefined || value instanceof Attributes,
  defined: (value) => !(value instanceof Undefined),
  divisibleby: beside((value, by) => {
    if (!isNumber(value) || !isNumber(by)) return fail();
    return arithmetic('%', numberOf(value), numberOf(by)) === 0n;
  }),
  eq: equal,
  '==': equal,
  equalto: equal,
  even: parity(false),
  false: (value) => value === false,
  float: (value) => typeof value === 'number',
  ge: beside((value, other) => compare(value, other) >= 0),
  '>=': beside((value, other) => compare(value, other) >= 0),
  gt: greater,
  '>': greater,
  greaterthan: greater,
  in: beside(isIn),
  integer: isWhole,
  iterable: (value) =>
    !(value === null || isNumber(value) || value instanceof Callable || value instanceof Namespace),
  le: beside((value, other) => compare(value, other) <= 0),
  '<=': beside((value, other) => compare(value, other) <= 0),
  lt: less,
  '<': less,
  lessthan: less,
  mapping: (value) => value instanceof Map,
  ne: unequal,
  '!=': unequal,
  none: (value) => value === null,
  number: isNumber,
  odd: parity(true),
  sequence: (value) =>
    typeof value === 'string' ||
    Array.isArray(value) ||
    value instanceof Map ||
    value instanceof Tuple ||
    value instanceof Range ||
    value instanceof Undefined,
  string: (value) => typeof value === 'string' || value instanceof Dated,
  true: (value) => value === true,
  undefined: (value) => value instanceof Undefined,
};
const withOne = /^(divisibleby|eq|==|equalto|ge|>=|gt|>|greaterthan|in|le|<=|lt|<|lessthan|ne|!=)$/;

export const hasTest = (name: string) => Object.hasOwn(testTable, name);

export function applyTest(name: string, value: Value, { list, named }: Arguments): boolean {
  if (!hasTest(name) || named.size > 0 || list.length !== (withOne.test(name) ? 1 : 0)) return fail();
  if (value instanceof View && name === 'iterable') return true;
  return testTable[name]!(value, list[0]);
}
