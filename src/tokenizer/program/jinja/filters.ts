// Jinja's filters and tests, as far as templates use them.
import { fail, unsupported } from './faults.ts';
import { jsonOf } from './json.ts';
import { capitalized, lines, lower, points, replaced, spaces, stripped, upper } from './text.ts';
import {
  areEqual,
  holds,
  isNumber,
  itemsOf,
  lengthOf,
  missing,
  textOf,
  truthOf,
  Undefined,
  type Value,
} from './values.ts';

interface Filter {
  /** What it is given, by its names in their order. */
  readonly names: readonly string[];
  readonly least: number;
  /** Whether it goes through all items, so that it may stand behind what is gone through at once. */
  readonly takesAll: boolean;
  readonly apply: (value: Value, given: readonly (Value | undefined)[]) => Value;
}

const filter = (
  names: string,
  apply: Filter['apply'],
  { least = 0, takesAll = false }: { least?: number; takesAll?: boolean } = {},
): Filter => ({ names: names.split(' ').filter(Boolean), least, takesAll, apply });
const onText = (change: (text: string) => string) => filter('', (value) => change(textOf(value)));

/** @throws Fault where nothing honest is so wide */
function blanks(width: Value): string {
  const count = typeof width === 'bigint' ? Math.max(Number(width), 0) : fail();
  return count > 1000 ? unsupported('an indent of more than 1000 blanks') : ' '.repeat(count);
}

/** As Python's `int` reads a text; 0 where it does not. */
function integerOf(text: string): bigint {
  const digits = stripped(text);
  if (/^[+-]?[0-9]{1,15}$/.test(digits)) return BigInt(digits.replace('+', ''));
  return /[^\p{ASCII}]|\d|inf|nan/iu.test(digits) ? unsupported('int of such a text') : 0n;
}

const wordBeginnings = new RegExp(`([-({\\[<${[...spaces].join('')}]+)`);

const filters: Readonly<Record<string, Filter>> = {
  capitalize: onText(capitalized),
  default: filter('default_value boolean', (value, [otherwise = '', boolean = false]) =>
    value instanceof Undefined || (truthOf(boolean) && !truthOf(value)) ? otherwise : value,
  ),
  first: filter('', (value) => itemsOf(value)[0] ?? (lengthOf(value) > 0 ? null : missing), {
    takesAll: true,
  }),
  indent: filter('width first blank', (value, [width = 4n, first = false, blank = false]) => {
    const by = blanks(width);
    const all = lines(`${typeof value === 'string' ? value : fail()}\n`);
    const rest = all.slice(1).map((line) => (line !== '' || truthOf(blank) ? by + line : line));
    return (truthOf(first) ? by : '') + [all[0] ?? '', ...rest].join('\n');
  }),
  int: filter('', (value) => {
    if (isNumber(value)) return BigInt(value);
    if (value instanceof Undefined) return fail();
    return typeof value === 'string' ? integerOf(value) : 0n;
  }),
  join: filter('d', (value, [by = '']) => itemsOf(value).map(textOf).join(textOf(by)), { takesAll: true }),
  last: filter('', (value) => itemsOf(value).at(-1) ?? (lengthOf(value) > 0 ? null : missing)),
  length: filter('', (value) => BigInt(lengthOf(value))),
  list: filter('', (value) => [...itemsOf(value)], { takesAll: true }),
  lower: onText(lower),
  replace: filter('old new', (value, [old, by]) => replaced(textOf(value), textOf(old!), textOf(by!)), {
    least: 2,
  }),
  string: onText((text) => text),
  title: onText((text) =>
    text
      .split(wordBeginnings)
      .map((word) => {
        const [first = '', ...rest] = points(word);
        return upper(first) + lower(rest.join(''));
      })
      .join(''),
  ),
  tojson: filter(
    'ensure_ascii indent separators',
    (value, [ascii = false, indent = null, separators = null]) => {
      const step = indent === null ? undefined : blanks(indent);
      if (separators !== null && !(Array.isArray(separators) && separators.length === 2)) return fail();
      const [item, name] = separators ?? [step === undefined ? ', ' : ',', ': '];
      if (typeof item !== 'string' || typeof name !== 'string') return fail();
      return jsonOf(value, { ascii: truthOf(ascii), indent: step, separators: [item, name] });
    },
  ),
  trim: filter('chars', (value, [chars = null]) => {
    if (chars === null) return stripped(textOf(value));
    return typeof chars === 'string' ? stripped(textOf(value), { of: new Set(points(chars)) }) : fail();
  }),
  upper: onText(upper),
};

/** undefined where there is none of this name. */
export function filterNamed(name: string): Filter | undefined {
  const own = name === 'count' ? 'length' : name === 'd' ? 'default' : name;
  return Object.hasOwn(filters, own) ? filters[own] : undefined;
}

interface Test {
  /** Whether it is given something beside the value, as only `select` and its like may. */
  readonly hasOther: boolean;
  readonly apply: (value: Value, other: Value | undefined) => boolean;
}
const test = (apply: (value: Value) => boolean): Test => ({ hasOther: false, apply });
const beside = (operator: string): Test => ({
  hasOther: true,
  apply: (value, other) => holds(operator, value, other!),
});
const parity = (odd: bigint) => test((value) => (isNumber(value) ? (BigInt(value) & 1n) === odd : fail()));
const hasItems = (value: Value) => !(value === null || isNumber(value));

const tests: Readonly<Record<string, Test>> = {
  boolean: test((value) => typeof value === 'boolean'),
  defined: test((value) => !(value instanceof Undefined)),
  eq: beside('=='),
  '==': beside('=='),
  equalto: beside('=='),
  even: parity(0n),
  false: test((value) => value === false),
  in: beside('in'),
  integer: test((value) => typeof value === 'bigint'),
  iterable: test(hasItems),
  mapping: test((value) => value instanceof Map),
  ne: beside('!='),
  '!=': beside('!='),
  none: test((value) => value === null),
  number: test(isNumber),
  odd: parity(1n),
  sequence: test(hasItems),
  string: test((value) => typeof value === 'string'),
  true: test((value) => value === true),
  undefined: test((value) => value instanceof Undefined),
};

/** undefined where there is none of this name. */
export const testNamed = (name: string): Test | undefined =>
  Object.hasOwn(tests, name) ? tests[name] : undefined;

/** Pairs of a mapping by their names, whose case says nothing. */
export const byName = ([a]: readonly [string, Value], [b]: readonly [string, Value]): number => {
  const [left, right] = [lower(a), lower(b)];
  return areEqual(left, right) ? 0 : holds('<', left, right) ? -1 : 1;
};
