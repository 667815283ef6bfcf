// The kept costs of the ways to an emulator, as the docs tell them.
import { digest, keptIn } from '../kept.ts';
import { type Cost, costTable } from './table.ts';
import { type Way, ways } from './ways.ts';

/** The rows that every way is measured on. */
export const probe = { samples: 64, maxLength: 128 };

export const costs = keptIn<Cost>(new URL('costs.json', import.meta.url));

/** Knows a way's cost again: what its spec says, and on how many rows. */
export const keyOf = ({ build }: Way): string => digest([build, probe]);

const passesOf = (way: string) => ways.find(({ name }) => name === way)?.passes ?? '1';

/** The table of docs/emulators.md: the ways in their order; a cost of a way that there is no more is not told, and what was not measured is named. */
export function toldCosts(): string {
  const known = new Map(costs.read().map((cost) => [cost.key, cost]));
  const told = ways.map((way) => known.get(keyOf(way))).filter((cost) => cost !== undefined);
  const left = ways.filter((way) => !known.has(keyOf(way))).map(({ name }) => name);
  const table = costTable(told, ways[0]!.name, passesOf);
  return left.length === 0 ? table : `${table}\n\nNot measured yet: ${left.join('; ')}.`;
}
