// What the study's kept rows say: shares, differences and what is recovered, each with the bootstrap over test rows.
import { bootstrap, type Estimate } from '../../src/evaluation/index.ts';
import type { Finding } from './experiment.ts';
import { settings } from './settings.ts';

/** Right answers, one character a test row. */
type Answers = string;

/** Of right answers; each entry is a run on the same test rows. */
export const rate = (runs: readonly Answers[]): Estimate | undefined =>
  bootstrap(
    summed(runs.map((answers) => [answers])).map((sums) => [...sums, runs.length]),
    ([right = 0, count = 0]) => share(right, count),
  );

/** How much more often the first of each pair is right than the second. */
export const difference = (pairs: readonly (readonly [Answers, Answers])[]): Estimate | undefined =>
  bootstrap(
    summed(pairs).map((sums) => [...sums, pairs.length]),
    ([a = 0, b = 0, count = 0]) => share(a - b, count),
  );

/** How right answers of the first of each pair go with those of the second, row by row: their correlation, 0 where either tells nothing of the other. */
export const correlation = (pairs: readonly (readonly [Answers, Answers])[]): Estimate | undefined =>
  bootstrap(
    summed(pairs.map(([a, b]) => [a, b, both(a, b)])).map((sums) => [...sums, pairs.length]),
    ([a = 0, b = 0, ab = 0, count = 0]) => {
      const deviations = Math.sqrt(a * (count - a) * b * (count - b));
      return deviations > 0 ? (count * ab - a * b) / deviations : undefined;
    },
  );

/** Of which rows both are right. */
const both = (a: Answers, b: Answers): Answers =>
  Array.from(a.slice(0, b.length), (right, row) => Number(right === '1' && b[row] === '1')).join('');

/** How much more often runs' plug-ins are right than the full model untuned. */
export const gained = (runs: readonly Finding[]): Estimate | undefined =>
  difference(runs.map(({ rows }) => [rows.plugIn, rows.fullZeroShot]));

/**
 * What runs' plug-ins recover of what LoRA in the full model gains: of those runs whose seed was trained there too;
 * undefined where none was, or where training in the full model gains nothing.
 */
export function recovered(runs: readonly Finding[], all: readonly Finding[]): Estimate | undefined {
  const bound = settings[0]!.name;
  const cells = runs.flatMap(({ seed, rows }) => {
    const tuned = all.find((found) => found.setting === bound && found.seed === seed);
    return tuned === undefined ? [] : [[rows.plugIn, rows.fullZeroShot, tuned.rows.plugIn]];
  });
  return bootstrap(summed(cells), ([plugIn = 0, full = 0, tuned = 0]) => share(plugIn - full, tuned - full));
}

/** How much more one setting's plug-ins recover than another's: of the seeds that both and the bound have. */
export function recoveredMore(
  runs: readonly Finding[],
  others: readonly Finding[],
  all: readonly Finding[],
): Estimate | undefined {
  const cells = runs.flatMap(({ seed, rows }) => {
    const other = others.find((found) => found.seed === seed);
    const tuned = all.find((found) => found.setting === settings[0]!.name && found.seed === seed);
    if (other === undefined || tuned === undefined) return [];
    return [[rows.plugIn, other.rows.plugIn, rows.fullZeroShot, tuned.rows.plugIn]];
  });
  return bootstrap(summed(cells), ([mine = 0, theirs = 0, full = 0, tuned = 0]) =>
    share(mine - theirs, tuned - full),
  );
}

/** What a cell said in the run that asked most rows; empty where there is none. */
export const longest = (runs: readonly Finding[], cell: keyof Finding['rows']): Answers =>
  runs.map(({ rows }) => rows[cell]).reduce((most, each) => (each.length > most.length ? each : most), '');

/** Undefined of nothing. */
const share = (part: number, whole: number) => (whole > 0 ? part / whole : undefined);

/** For each test row that all runs have, what they add to each column: a row is drawn with all that was said of it. */
function summed(runs: readonly (readonly Answers[])[]): number[][] {
  const [first] = runs;
  if (first === undefined) return [];
  const rows = Math.min(...runs.flat().map(({ length }) => length));
  return Array.from({ length: rows }, (_, row) =>
    first.map((_, column) => runs.reduce((sum, run) => sum + Number(run[column]![row]), 0)),
  );
}
