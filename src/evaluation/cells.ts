// The metrics: from the likelihoods of rows to accuracy or perplexity, with standard errors.
import type { Metric } from '../api/index.ts';
import type { Example } from '../data/index.ts';
import { type PairLikelihood, pairLikelihood, prefersOver } from './pairs.ts';
import type { RowLikelihood } from './score.ts';

export type MetricName = Metric;

/** A measured figure with its standard error, both as fractions (accuracy) or in the metric's own unit. */
export interface Cell {
  readonly value: number;
  readonly stderr: number;
}

/** One evaluated row. */
export interface RowScore {
  readonly row: number;
  /** 1 where the metric counts the row as right, 0 otherwise, one half where a pair stands as in its reference; for perplexity the row's negative log-likelihood. */
  readonly value: number;
  /** The row's weight in the mean: 1 for accuracies, its scored tokens for perplexity. */
  readonly weight: number;
}

/**
 * What each row scores; `examples` hold the right answers, the choices' tokens and their bytes, by row.
 * @param reference of pair_acc: what the model that pairs are compared with says of each row
 */
export function rowScores(
  likelihoods: readonly RowLikelihood[],
  examples: readonly Example[],
  metric: MetricName,
  reference?: ReadonlyMap<number, PairLikelihood>,
): RowScore[] {
  if (metric === 'pair_acc')
    return likelihoods.map((likelihood) => {
      const { row } = likelihood;
      return { row, value: prefersOver(pairLikelihood(likelihood), reference!.get(row)!), weight: 1 };
    });
  const byRow = new Map(examples.map((example) => [example.row, example]));
  return likelihoods.map(({ row, logLikelihood, tokens, greedy }) => {
    if (metric === 'perplexity') return { row, value: -sum(logLikelihood), weight: sum(tokens) };
    const { answer, branches, bytes } = byRow.get(row)!;
    const places = firstsOf(branches);
    // every choice of such a row is an accepted answer
    if (metric === 'exact_match')
      return { row, value: Number(places.some((place) => greedy![place + 1])), weight: 1 };
    const said = places.map((place) => logLikelihood[place + 1]!);
    const right = chosen(said, metric === 'acc_norm' ? bytes : undefined) === answer;
    return { row, value: Number(right), weight: 1 };
  });
}

/**
 * The first branch of the same tokens, for each: a model says one thing of both, whatever the rounding at their places in a
 * sequence.
 */
function firstsOf(branches: Example['branches']): number[] {
  const firsts = new Map<string, number>();
  return branches.map((tokens, place) => {
    const name = tokens.join();
    const first = firsts.get(name) ?? place;
    firsts.set(name, first);
    return first;
  });
}

/**
 * The index of the choice with the highest score; ties go to the first, as in lm-evaluation-harness.
 * `bytes`, when given, divides each summed log-likelihood by its choice's length in bytes (acc_norm).
 */
export function chosen(logLikelihoods: readonly number[], bytes?: readonly number[]): number {
  const scores = logLikelihoods.map((value, i) => value / (bytes?.[i] ?? 1));
  return scores.indexOf(Math.max(...scores));
}

/**
 * A cell from its rows: accuracy with stderr sqrt(p (1-p) / (n-1)) as lm-evaluation-harness gives it, which is that of a mean
 * of ones and zeros; of pair_acc, where halves are among them, the mean's; perplexity exp(sum nll / sum tokens) with the delta
 * method over rows. One row has no standard error: NaN.
 */
export function cellOf(rows: readonly RowScore[], metric: MetricName): Cell {
  const n = rows.length;
  const total = sum(rows.map(({ weight }) => weight));
  const mean = sum(rows.map(({ value }) => value)) / total;
  if (metric === 'pair_acc') {
    const deviations = sum(rows.map(({ value }) => (value - mean) ** 2));
    return { value: mean, stderr: Math.sqrt(deviations / (n - 1) / n) };
  }
  if (metric !== 'perplexity') return { value: mean, stderr: Math.sqrt((mean * (1 - mean)) / (n - 1)) };
  const squares = sum(rows.map(({ value, weight }) => (value - mean * weight) ** 2));
  const stderr = Math.sqrt((squares * n) / (n - 1)) / total;
  return { value: Math.exp(mean), stderr: Math.exp(mean) * stderr };
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
