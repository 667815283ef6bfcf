// The functions that transformers and Jinja give every template: ranges, namespaces, refusal, a clock that stands.

import type { givenNames } from './expressions.ts';
import { Fault, fail, Refusal, unsupported } from './faults.ts';
import { Callable, Dated, Namespace, plain, type Value } from './values.ts';

/** What the sandbox of transformers allows. */
const longestRange = 100_000;
/** The day that the clock shows to templates: the one that LLaMA 3's own writes where there is no clock. */
const today = { day: 26, month: 7, year: 2024, weekday: 5 };

/** What transformers and Jinja define for every template; `range` has its own place in the tree. */
export const builtIns: Readonly<Record<(typeof givenNames)[number], Callable>> = {
  raise_exception: new Callable(() => {
    throw new Refusal();
  }),
  range: new Callable(fail),
  namespace: new Callable(({ named }) => {
    if ([...named.keys()].some((name) => name.startsWith('_'))) return fail();
    return new Namespace(new Map(named));
  }),
  dict: new Callable(({ named }) => new Map([...named].map(([name, value]) => [name, plain(value)]))),
  strftime_now: new Callable(({ list }) => {
    const [format] = list;
    return list.length === 1 && typeof format === 'string' ? new Dated(dateBy(format)) : fail();
  }),
};

const months = 'January February March April May June July August September October November December'.split(
  ' ',
);
const days = 'Sunday Monday Tuesday Wednesday Thursday Friday Saturday'.split(' ');

function dateBy(format: string): string {
  const two = (number: number) => String(number).padStart(2, '0');
  const [month, day] = [months[today.month - 1]!, days[today.weekday]!];
  const parts: Readonly<Record<string, string>> = {
    '%': '%',
    A: day,
    a: day.slice(0, 3),
    B: month,
    b: month.slice(0, 3),
    d: two(today.day),
    H: '12',
    I: '12',
    M: '00',
    m: two(today.month),
    p: 'PM',
    S: '00',
    Y: String(today.year),
    y: two(today.year % 100),
  };
  return format.replace(
    /%([\s\S]?)/g,
    (_, letter: string) => parts[letter] ?? unsupported('a rare part of the date'),
  );
}

export function range(given: readonly Value[]): bigint[] {
  const bounds = given.map((bound) => (typeof bound === 'bigint' ? bound : fail()));
  const [start, stop, step] =
    bounds.length === 1 ? [0n, bounds[0]!, 1n] : [bounds[0]!, bounds[1]!, bounds[2] ?? 1n];
  if (step === 0n) return fail();
  const count = (stop - start + step + (step > 0n ? -1n : 1n)) / step;
  if (count > BigInt(longestRange))
    throw new Fault(`it asks for a range of more than ${longestRange} numbers, or of none that ends`);
  return Array.from({ length: Math.max(Number(count), 0) }, (_, i) => start + BigInt(i) * step);
}
