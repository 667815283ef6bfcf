// Methods of Python's texts and mappings, as far as templates use them.
import { fail, unsupported } from './faults.ts';
import {
  capitalized,
  lower,
  points,
  replaced,
  split,
  splitAtBlanks,
  splitFromRight,
  stripped,
  upper,
} from './text.ts';
import { missing, type Value } from './values.ts';

type Given = readonly (Value | undefined)[];
interface Method {
  /** How many arguments it takes, none of them by name. */
  readonly takes: readonly [least: number, most: number];
  readonly apply: (self: Value, given: Given) => Value;
}

const text = (value: Value | undefined): string => (typeof value === 'string' ? value : fail());
const count = (value: Value | undefined): number | undefined => {
  if (value === undefined) return undefined;
  const number = typeof value === 'bigint' ? Number(value) : fail();
  return number < 0 ? undefined : number;
};
const onText = (takes: Method['takes'], call: (self: string, given: Given) => Value): Method => ({
  takes,
  apply: (self, given) => call(text(self), given),
});
const strip = (side: { left?: boolean; right?: boolean }) =>
  onText([0, 1], (self, [of]) =>
    stripped(self, {
      ...side,
      ...(of === undefined || of === null ? {} : { of: new Set(points(text(of))) }),
    }),
  );
const splitBy = (cut: typeof split, atBlanks: (self: string, most: number | undefined) => string[]) =>
  onText([0, 2], (self, [by, most]) => {
    if (by === undefined || by === null) return atBlanks(self, count(most));
    return by === '' ? fail() : cut(self, text(by), count(most));
  });

const table: Readonly<Record<string, Method>> = {
  capitalize: onText([0, 0], capitalized),
  endswith: onText([1, 1], (self, [part]) => self.endsWith(text(part))),
  get: {
    takes: [1, 2],
    apply: (self, [name, otherwise = null]) => {
      if (!(self instanceof Map) || Array.isArray(name) || name instanceof Map) return fail();
      return typeof name === 'string' && self.has(name) ? self.get(name)! : otherwise;
    },
  },
  lower: onText([0, 0], lower),
  lstrip: strip({ right: false }),
  replace: onText([2, 3], (self, [old, by, most]) => replaced(self, text(old), text(by), count(most))),
  rsplit: splitBy(splitFromRight, (self, most) =>
    most === undefined ? splitAtBlanks(self) : unsupported('rsplit at so many blanks'),
  ),
  rstrip: strip({ left: false }),
  split: splitBy(split, splitAtBlanks),
  startswith: onText([1, 1], (self, [part]) => self.startsWith(text(part))),
  strip: strip({}),
  title: onText([0, 0], (self) =>
    /^\p{ASCII}*$/u.test(self)
      ? self.replace(/[A-Za-z]+/g, (word) => upper(word.slice(0, 1)) + lower(word.slice(1)))
      : unsupported('titles beyond ASCII'),
  ),
  upper: onText([0, 0], upper),
};

/** undefined where there is none of this name. */
export const methodNamed = (name: string): Method | undefined =>
  Object.hasOwn(table, name) ? table[name] : undefined;

/** The attributes that Python's own types have: none of them is a value here. */
const attributes = {
  text: 'capitalize casefold center count encode endswith expandtabs find format format_map index isalnum isalpha isascii isdecimal isdigit isidentifier islower isnumeric isprintable isspace istitle isupper join ljust lower lstrip maketrans partition removeprefix removesuffix replace rfind rindex rjust rpartition rsplit rstrip split splitlines startswith strip swapcase title translate upper zfill',
  list: 'copy count index',
  mapping: 'copy fromkeys get items keys values',
};
/** What changes its own list or mapping is hidden by the sandbox of transformers. */
const hidden = {
  list: /^(append|clear|extend|insert|pop|remove|reverse|sort)$/,
  mapping: /^(clear|pop|popitem|setdefault|update)$/,
};

/** What a value has under a name by its type: `missing` where it is hidden, undefined where it has none. @throws Fault where it has one */
export function attributeOf(self: Value, name: string): Value | undefined {
  const refused = (known: string) =>
    known.split(' ').includes(name) ? unsupported('a method that is not called') : undefined;
  if (typeof self === 'string') return refused(attributes.text);
  if (Array.isArray(self)) return hidden.list.test(name) ? missing : refused(attributes.list);
  if (self instanceof Map) return hidden.mapping.test(name) ? missing : refused(attributes.mapping);
  return self === null ? undefined : unsupported('an attribute of a number');
}
