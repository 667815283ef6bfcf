// The significance of a difference between two models that were measured on the same rows, and the error of any figure of rows.
import { cellOf, type MetricName, type RowScores } from './cells.ts';

/** A difference between two cells on the same rows. */
export interface Difference {
  /** a minus b, in the metric's own unit. */
  value: number;
  stderr: number;
  /** The 2.5% and 97.5% percentiles of the bootstrap. */
  interval: [low: number, high: number];
}

/**
 * Paired bootstrap of the difference a - b: rows are drawn with replacement, the same rows for both cells. One row, which each
 * draw repeats, has no error and no interval: NaN.
 * @param resamples how often (10,000 in reports)
 * @param seed equal seeds give equal intervals
 * @param beforeEach called before each resample, to stop by throwing: thousands of rows take seconds
 */
export function pairedBootstrap(
  a: RowScores,
  b: RowScores,
  metric: MetricName,
  {
    resamples = 10_000,
    seed = 42,
    beforeEach,
  }: { resamples?: number; seed?: number; beforeEach?: () => void } = {},
): Difference {
  const n = a.values.length;
  const value = cellOf(a, metric).value - cellOf(b, metric).value;
  if (n < 2) return { value, stderr: Number.NaN, interval: [Number.NaN, Number.NaN] };
  const statistic = (sum: number, weight: number) =>
    metric === 'perplexity' ? Math.exp(sum / weight) : sum / weight;
  const random = mulberry32(seed);
  const draws = new Float64Array(resamples);
  for (let draw = 0; draw < resamples; draw++) {
    beforeEach?.();
    let valueA = 0;
    let weightA = 0;
    let valueB = 0;
    let weightB = 0;
    for (let i = 0; i < n; i++) {
      const at = Math.floor(random() * n);
      valueA += a.values[at]!;
      weightA += a.weights[at]!;
      valueB += b.values[at]!;
      weightB += b.weights[at]!;
    }
    draws[draw] = statistic(valueA, weightA) - statistic(valueB, weightB);
  }
  draws.sort();
  const mean = draws.reduce((sum, x) => sum + x, 0) / resamples;
  const variance = draws.reduce((sum, x) => sum + (x - mean) ** 2, 0) / Math.max(1, resamples - 1);
  const percentile = (q: number) => draws[Math.min(resamples - 1, Math.floor(q * resamples))]!;
  return {
    value,
    stderr: Math.sqrt(variance),
    interval: [percentile(0.025), percentile(0.975)],
  };
}

/**
 * The exact sign test; of rows that one model has right and the other wrong it is McNemar's (Psychometrika 12(2), 1947).
 * @param one how many rows go one way
 * @param other how many the other way; rows that are equal count nowhere
 * @returns how likely rows that go either way by a coin are as uneven as these, two-sided
 */
export function signTest(one: number, other: number): number {
  const count = one + other;
  const most = Math.max(one, other);
  // The binomial's upper half, in units of its middle.
  let upper = 0;
  let tail = 0;
  for (let k = Math.ceil(count / 2), term = 1; k <= count && term > 0; k++) {
    upper += term;
    if (k >= most) tail += term;
    term *= (count - k) / (k + 1);
  }
  const whole = 2 * upper - (count % 2 === 0 ? 1 : 0);
  return Math.min(1, (2 * tail) / whole);
}

/** A figure of rows with its standard error, and the 2.5% and 97.5% percentiles of its bootstrap. */
export interface Estimate {
  readonly value: number;
  readonly stderr: number;
  readonly low: number;
  readonly high: number;
}

/** The share of resamples without a value up to which an estimate still has a meaning. */
const mostWithout = 0.025;

/**
 * A figure that follows from sums over rows, with its bootstrap error: rows are drawn with replacement, all columns of a row
 * together, so that what several models say of a row stays paired.
 * @param rows what each row adds to each sum
 * @param statistic the figure of the sums; undefined where they give none (a ratio to nothing)
 * @param resamples how often
 * @param seed equal seeds give equal errors
 * @param beforeEach called before each resample, to stop by throwing
 * @returns undefined where the rows, or more than 2.5% of the resamples, give no figure, and of fewer than two rows, which have no error
 */
export function bootstrap(
  rows: readonly (readonly number[])[],
  statistic: (sums: readonly number[]) => number | undefined,
  {
    resamples = 1000,
    seed = 42,
    beforeEach,
  }: { resamples?: number; seed?: number; beforeEach?: (() => void) | undefined } = {},
): Estimate | undefined {
  const width = rows[0]?.length ?? 0;
  const sumOf = (rowAt: (i: number) => readonly number[]): number[] => {
    const sums = new Array<number>(width).fill(0);
    for (let i = 0; i < rows.length; i++) {
      const row = rowAt(i);
      for (let column = 0; column < width; column++) sums[column]! += row[column]!;
    }
    return sums;
  };
  const value = statistic(sumOf((i) => rows[i]!));
  if (value === undefined || rows.length < 2) return undefined;
  const random = mulberry32(seed);
  const draws: number[] = [];
  for (let draw = 0; draw < resamples; draw++) {
    beforeEach?.();
    const drawn = statistic(sumOf(() => rows[Math.floor(random() * rows.length)]!));
    if (drawn !== undefined) draws.push(drawn);
  }
  if (resamples - draws.length > mostWithout * resamples) return undefined;
  draws.sort((a, b) => a - b);
  const mean = draws.reduce((sum, x) => sum + x, 0) / draws.length;
  const variance = draws.reduce((sum, x) => sum + (x - mean) ** 2, 0) / Math.max(1, draws.length - 1);
  const percentile = (q: number) => draws[Math.min(draws.length - 1, Math.floor(q * draws.length))]!;
  return { value, stderr: Math.sqrt(variance), low: percentile(0.025), high: percentile(0.975) };
}

/** Mulberry32 (Tommy Ettinger, public domain): a 32-bit generator, good enough to draw row numbers. */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
