// A linear map that gets fewer inputs, made to give what it gave with all of them as nearly as it can.
import type { Engine } from '../../engine/index.ts';
import { type Matrix, matrix, multiply } from '../algebra/matrix.ts';
import { solveRows } from '../algebra/solve.ts';
import type { InputMoments } from '../observe/observations.ts';

/**
 * How much a changed weight costs at least, as a share of the mean variance of the inputs that stay; to it comes the share of these
 * in the tokens: few tokens tell little of many inputs, and what they seem to tell is not so of others.
 */
const leastPenalty = 1e-3;
/** What rounding may make of a moment, generously: a share of the largest one. */
const rounding = 1e-10;

export interface Refitted {
  /** [to, kept], in numbers that float32 has. */
  readonly weight: Matrix;
  /** What is added to the bias, [to]: with it the outputs' mean is what it was. */
  readonly bias: Float64Array;
}

/**
 * W with the columns of some inputs alone. What was left out gives its mean (FLAP, arXiv 2312.11983) and, where it is asked for,
 * what the inputs that stay tell of it: E = W_out C_out,kept (C_kept + penalty)^-1 is added to W_kept, the ridge regression of
 * GRAIL (arXiv 2602.23795), here of what is left out only, centred, and from the moments. E = 0 is among what it chooses of, so
 * that the outputs' squared error on these moments is never larger with it.
 * @param w [to, from]; @param kept the inputs that stay, ascending
 */
export async function withInputs(
  engine: Engine,
  w: Matrix,
  { tokens, mean, second }: InputMoments,
  kept: readonly number[],
  { refit }: { refit: boolean },
): Promise<Refitted> {
  const out = others(w.columns, kept);
  const weight = columnsOf(w, kept);
  const left = columnsOf(w, out);
  const bias = new Float64Array(w.rows);
  if (refit && out.length > 0) {
    const spread = (rows: readonly number[], columns: readonly number[]) =>
      spreadOf(mean, second, rows, columns);
    const told = await multiply(engine, left, spread(out, kept));
    const change = await solveRows(
      engine,
      penalised(spread(kept, kept), second, leastPenalty + kept.length / tokens),
      told,
    );
    for (let i = 0; i < weight.data.length; i++) weight.data[i]! += change.data[i]!;
  }
  // The bias answers for the weight as it will be stored.
  for (let i = 0; i < weight.data.length; i++) weight.data[i] = Math.fround(weight.data[i]!);
  for (let row = 0; row < w.rows; row++) {
    let sum = 0;
    for (let i = 0; i < w.columns; i++) sum += w.data[row * w.columns + i]! * mean[i]!;
    kept.forEach((input, i) => {
      sum -= weight.data[row * kept.length + i]! * mean[input]!;
    });
    bias[row] = sum;
  }
  return { weight, bias };
}

/** E[(x - mean)(x - mean)^T] of some inputs with others. */
function spreadOf(
  mean: Float64Array,
  second: Float64Array,
  rows: readonly number[],
  columns: readonly number[],
): Matrix {
  const spread = matrix(rows.length, columns.length);
  rows.forEach((i, r) => {
    columns.forEach((j, c) => {
      const moment = second[i * mean.length + j]!;
      const centred = moment - mean[i]! * mean[j]!;
      // What never changes has no spread, not even that of rounding.
      if (Math.abs(centred) > 16 * Number.EPSILON * Math.abs(moment))
        spread.data[r * columns.length + c] = centred;
    });
  });
  return spread;
}

/** With the penalty on the diagonal, and what rounding may have made of the matrix, so that it is positive definite. */
function penalised(spread: Matrix, second: Float64Array, penalty: number): Matrix {
  const { rows: n, data } = spread;
  const largest = second.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  let trace = 0;
  for (let i = 0; i < n; i++) trace += Math.max(0, data[i * n + i]!);
  const added = (penalty * trace) / n + rounding * largest || 1;
  for (let i = 0; i < n; i++) data[i * n + i]! += added;
  return spread;
}

function others(count: number, kept: readonly number[]): number[] {
  const staying = new Set(kept);
  return Array.from({ length: count }, (_, i) => i).filter((i) => !staying.has(i));
}

function columnsOf({ rows, columns, data }: Matrix, chosen: readonly number[]): Matrix {
  const found = matrix(rows, chosen.length);
  for (let row = 0; row < rows; row++)
    chosen.forEach((column, i) => {
      found.data[row * chosen.length + i] = data[row * columns + column]!;
    });
  return found;
}
