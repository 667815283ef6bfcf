// Methods of Python's texts, lists and mappings, as far as templates use them.
import { fail, unsupported } from './faults.ts';
import {
  capitalized,
  lines,
  lower,
  pointCount,
  points,
  replaced,
  split,
  splitAtBlanks,
  splitFromRight,
  stripped,
  upper,
} from './text.ts';
import { type Arguments, areEqual, Callable, itemsOf, missing, Tuple, type Value, View } from './values.ts';

type Method<T> = (self: T, given: Value[]) => Value;

const text = (value: Value | undefined): string => (typeof value === 'string' ? value : fail());
const optionalText = (value: Value | undefined) =>
  value === undefined || value === null ? undefined : text(value);
const count = (value: Value | undefined): number | undefined => {
  if (value === undefined) return undefined;
  const number = typeof value === 'bigint' || typeof value === 'boolean' ? Number(value) : fail();
  return number < 0 ? undefined : number;
};
const strip = (side: { left?: boolean; right?: boolean }): Method<string> => {
  return (self, [of]) => {
    const set = optionalText(of);
    return stripped(self, { ...side, ...(set === undefined ? {} : { of: new Set(points(set)) }) });
  };
};
const find = (at: (self: string, part: string) => number): Method<string> => {
  return (self, [part, ...range]) => {
    if (range.length > 0) unsupported('find with bounds');
    const found = at(self, text(part));
    return BigInt(found < 0 ? -1 : pointCount(self.slice(0, found)));
  };
};
const affix = (has: (self: string, part: string) => boolean): Method<string> => {
  return (self, [part, ...range]) => {
    if (range.length > 0) unsupported('startswith with bounds');
    return part instanceof Tuple ? part.items.some((one) => has(self, text(one))) : has(self, text(part));
  };
};
const isAscii = (value: string) => /^\p{ASCII}*$/u.test(value);
const isAll = (pattern: RegExp): Method<string> => {
  return (self) =>
    isAscii(self) ? pattern.test(self) : unsupported('a question about letters beyond ASCII');
};

const ofTexts: Readonly<Record<string, Method<string>>> = {
  capitalize: (self) => capitalized(self),
  count: (self, [part, ...range]) => {
    if (range.length > 0) unsupported('count with bounds');
    const by = text(part);
    return BigInt(by === '' ? pointCount(self) + 1 : self.split(by).length - 1);
  },
  endswith: affix((self, part) => self.endsWith(part)),
  find: find((self, part) => self.indexOf(part)),
  isalpha: isAll(/^[A-Za-z]+$/),
  isdigit: isAll(/^\d+$/),
  join: (self, [items]) => [...itemsOf(items ?? fail())].map(text).join(self),
  lower: (self) => lower(self),
  lstrip: strip({ right: false }),
  removeprefix: (self, [part]) => (self.startsWith(text(part)) ? self.slice(text(part).length) : self),
  removesuffix: (self, [part]) =>
    part !== '' && self.endsWith(text(part)) ? self.slice(0, self.length - text(part).length) : self,
  replace: (self, [old, by, most]) => replaced(self, text(old), text(by), count(most)),
  rfind: find((self, part) => self.lastIndexOf(part)),
  rsplit: (self, [by, most]) => {
    const cut = optionalText(by);
    if (cut === undefined) return most === undefined ? splitAtBlanks(self) : unsupported('rsplit at blanks');
    return cut === '' ? fail() : splitFromRight(self, cut, count(most));
  },
  rstrip: strip({ left: false }),
  split: (self, [by, most]) => {
    const cut = optionalText(by);
    if (cut === undefined) return splitAtBlanks(self, count(most));
    return cut === '' ? fail() : split(self, cut, count(most));
  },
  splitlines: (self, given) => (given.length > 0 ? unsupported('splitlines that keeps ends') : lines(self)),
  startswith: affix((self, part) => self.startsWith(part)),
  strip: strip({}),
  title: (self) =>
    isAscii(self)
      ? self.replace(/[A-Za-z]+/g, (word) => upper(word.slice(0, 1)) + lower(word.slice(1)))
      : unsupported('titles beyond ASCII'),
  upper: (self) => upper(self),
};

const ofLists: Readonly<Record<string, Method<readonly Value[]>>> = {
  count: (self, [value]) => BigInt(self.filter((item) => areEqual(item, value ?? fail())).length),
  index: (self, [value, ...range]) => {
    if (range.length > 0) unsupported('index with bounds');
    const at = self.findIndex((item) => areEqual(item, value ?? fail()));
    return at < 0 ? fail() : BigInt(at);
  },
};

const ofMappings: Readonly<Record<string, Method<Map<string, Value>>>> = {
  copy: (self) => new Map(self),
  get: (self, [name, otherwise = null]) => {
    if (name === undefined || Array.isArray(name) || name instanceof Map) return fail();
    return typeof name === 'string' && self.has(name) ? self.get(name)! : otherwise;
  },
  items: (self) =>
    new View(
      'items',
      [...self].map((pair) => new Tuple(pair)),
    ),
  keys: (self) => new View('keys', [...self.keys()]),
  values: (self) => new View('values', [...self.values()]),
};

/** What a method may be given by name, in the order in which it takes them. */
const parameters: Readonly<Record<string, readonly string[]>> = {
  replace: ['old', 'new', 'count'],
  split: ['sep', 'maxsplit'],
  rsplit: ['sep', 'maxsplit'],
};
const most: Readonly<Record<string, number>> = {
  replace: 3,
  split: 2,
  rsplit: 2,
  get: 2,
  count: 3,
  find: 3,
  rfind: 3,
};
const none = /^(capitalize|lower|title|upper|isalpha|isdigit|copy|items|keys|values)$/;

/** Python has these, too. */
const others = {
  text: 'casefold center encode expandtabs format format_map index isalnum isascii isdecimal isidentifier islower isnumeric isprintable isspace istitle isupper ljust maketrans partition rindex rjust rpartition swapcase translate zfill',
  list: 'copy',
  mapping: 'fromkeys',
};
/** What changes its own list or mapping is hidden by the sandbox of transformers. */
const hidden = {
  list: /^(append|clear|extend|insert|pop|remove|reverse|sort)$/,
  mapping: /^(clear|pop|popitem|setdefault|update)$/,
};

/** The attribute that Python's own types have of this name; undefined where they have none. */
export function methodOf(self: Value, name: string): Value | undefined {
  if (typeof self === 'string') return bound(ofTexts, others.text, self, name);
  if (Array.isArray(self)) return hidden.list.test(name) ? missing : bound(ofLists, others.list, self, name);
  if (self instanceof Tuple) return bound(ofLists, '', self.items, name);
  if (self instanceof Map)
    return hidden.mapping.test(name) ? missing : bound(ofMappings, others.mapping, self, name);
  return self === null
    ? undefined
    : unsupported('an attribute of a number, a range or what a filter goes through');
}

function bound<T>(
  table: Readonly<Record<string, Method<T>>>,
  known: string,
  self: T,
  name: string,
): Callable | undefined {
  const method = Object.hasOwn(table, name) ? table[name] : undefined;
  if (method === undefined)
    return known.split(' ').includes(name)
      ? new Callable(() => unsupported('a method of Python that is not known here'))
      : undefined;
  return new Callable((given) => {
    const list = inOrder(given, parameters[name] ?? []);
    return list.length > (none.test(name) ? 0 : (most[name] ?? 1)) ? fail() : method(self, list);
  });
}

/** What is given by name at the place where it is taken. */
export function inOrder({ list, named }: Arguments, names: readonly string[]): Value[] {
  // What is skipped is not there, so that it has its default.
  const all: Value[] = [...list];
  for (const [name, value] of named) {
    const at = names.indexOf(name);
    if (at < list.length) return fail();
    all[at] = value;
  }
  return all;
}
