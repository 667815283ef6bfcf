// The metrics: from the likelihoods of rows to accuracy or perplexity, with standard errors.
import type { Metric } from '../api/index.ts';
import type { Example } from '../data/index.ts';
import { type Likelihoods, numbersByRow, type RowLikelihood } from './likelihoods.ts';
import { type PairReference, pairLikelihood, prefersOver } from './pairs.ts';

export type MetricName = Metric;

/** A measured figure with its standard error, both as fractions (accuracy) or in the metric's own unit. */
export interface Cell {
  readonly value: number;
  readonly stderr: number;
}

/** Evaluated rows, in their order. They are kept of every cell, outside of JavaScript's heap. */
export interface RowScores {
  /** 1 where the metric counts the row as right, 0 otherwise, one half where a pair stands as in its reference; for perplexity the row's negative log-likelihood. */
  readonly values: Float64Array;
  /** The row's weight in the mean: 1 for accuracies, its scored tokens for perplexity. */
  readonly weights: Float64Array;
}

/**
 * What each row scores; `examples` hold the right answers, the choices' tokens and their bytes, by row.
 * @param reference of pair_acc: what the model that pairs are compared with says of each row
 */
export function rowScores(
  likelihoods: Likelihoods,
  examples: readonly Example[],
  metric: MetricName,
  reference?: PairReference,
): RowScores {
  const values = new Float64Array(likelihoods.length);
  const weights = new Float64Array(likelihoods.length).fill(1);
  const exampleOf = exampleByRow(examples);
  let at = 0;
  for (const likelihood of likelihoods) {
    const { row, logLikelihood, tokens } = likelihood;
    if (metric === 'perplexity') {
      values[at] = -sum(logLikelihood);
      weights[at] = sum(tokens);
    } else if (metric === 'pair_acc')
      values[at] = prefersOver(pairLikelihood(likelihood), reference!.get(row));
    else values[at] = Number(isRight(likelihood, exampleOf(row), metric));
    at++;
  }
  return { values, weights };
}

function isRight(
  { logLikelihood, greedy }: RowLikelihood,
  { answer, branches, bytes }: Example,
  metric: Exclude<MetricName, 'perplexity' | 'pair_acc'>,
): boolean {
  const places = firstsOf(branches);
  // every choice of such a row is an accepted answer
  if (metric === 'exact_match') return places.some((place) => greedy![place + 1]);
  const said = places.map((place) => logLikelihood[place + 1]!);
  return chosen(said, metric === 'acc_norm' ? bytes : undefined) === answer;
}

function exampleByRow(examples: readonly Example[]): (row: number) => Example {
  const places = numbersByRow(examples, (_, place) => place);
  return (row) => examples[places[row]!]!;
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
export function cellOf({ values, weights }: RowScores, metric: MetricName): Cell {
  const n = values.length;
  const total = sum(weights);
  const mean = sum(values) / total;
  if (metric === 'pair_acc') {
    const deviations = sum(values.map((value) => (value - mean) ** 2));
    return { value: mean, stderr: Math.sqrt(deviations / (n - 1) / n) };
  }
  if (metric !== 'perplexity') return { value: mean, stderr: Math.sqrt((mean * (1 - mean)) / (n - 1)) };
  const squares = sum(values.map((value, i) => (value - mean * weights[i]!) ** 2));
  const stderr = Math.sqrt((squares * n) / (n - 1)) / total;
  return { value: Math.exp(mean), stderr: Math.exp(mean) * stderr };
}

function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
