// How much each head and channel of a layer matters, by published measures.
import type { Engine } from '../../engine/index.ts';
import type { Cut, Widths } from '../../model/index.ts';
import { type Matrix, matrix, multiply } from '../algebra/matrix.ts';
import type { InputMoments, MapGradients } from '../observe/observations.ts';
import { ownersIn, partOf, unitsOf } from './units.ts';

/** A divided linear map and what was observed of it. */
export interface DividedMap {
  /** [to, from], whichever way round it is stored. */
  readonly w: Matrix;
  readonly cut: Cut;
  readonly moments: InputMoments;
  readonly gradients?: MapGradients;
}

/**
 * For each input of the map that takes what units give, how much its outputs vary with it: the input's variance times the squared
 * norm of its column (FLAP's weighted fluctuation, arXiv 2312.11983).
 */
export function fluctuations({ w, moments: { mean, second } }: DividedMap): Float64Array {
  const { columns: n } = w;
  const norms = columnSums(w, (value) => value ** 2);
  return norms.map((norm, i) => norm * Math.max(0, second[i * n + i]! - mean[i]! ** 2));
}

/** For each input, its size times the mean of its column's weights: |W_ij| |x_j|, the mean over i (Wanda, arXiv 2306.11695). */
export function magnitudes({ w, moments: { second } }: DividedMap): Float64Array {
  const { rows, columns: n } = w;
  return columnSums(w, Math.abs).map((sum, i) => (sum / rows) * Math.sqrt(Math.max(0, second[i * n + i]!)));
}

/** For each row or column that is divided, the sum of |w dL/dw| (LLM-Pruner's first order by element, arXiv 2305.11627). */
export function taylorTerms({ w, cut, gradients }: DividedMap): Float64Array {
  const { rows, columns, data } = w;
  const products = matrix(rows, columns);
  for (let i = 0; i < data.length; i++) products.data[i] = Math.abs(data[i]! * gradients!.weight[i]!);
  return cut.side === 'to' ? rowSums(products, identity) : columnSums(products, identity);
}

/**
 * For each row or column that is divided, GradOT's score of setting it to zero (arXiv 2507.04455): |H delta|_1 - lambda (dL/dW .
 * delta), with the Hessian by Kronecker factors, H delta = G delta A of the outputs' gradients G = E[g g^T] and the inputs A =
 * E[x x^T]. For one row, delta = -e w^T, and the norm is |G e|_1 |A w|_1; likewise for a column. The gradients observed are of the
 * mean loss over N tokens, so that what one token's own would be is N times as much: H is N^2 G (x) A.
 */
export async function gradientTerms(
  engine: Engine,
  { w, cut, moments, gradients }: DividedMap,
  lambda: number,
): Promise<Float64Array> {
  const { rows: to, columns: from } = w;
  const { outputs, weight } = gradients!;
  const ofOutputs = matrixOf(to, to, outputs);
  const ofInputs = matrixOf(from, from, moments.second);
  const slopes = matrix(to, from);
  for (let i = 0; i < slopes.data.length; i++) slopes.data[i] = w.data[i]! * weight[i]!;
  const [own, other, slope] =
    cut.side === 'to'
      ? [
          rowSums(ofOutputs, Math.abs),
          rowSums(await multiply(engine, w, ofInputs), Math.abs),
          rowSums(slopes, identity),
        ]
      : [
          columnSums(await multiply(engine, ofOutputs, w), Math.abs),
          rowSums(ofInputs, Math.abs),
          columnSums(slopes, identity),
        ];
  const scale = moments.tokens ** 2;
  return own.map((norm, i) => scale * norm * other[i]! + lambda * slope[i]!);
}

/** What the rows or columns of each unit come to, together or on average. */
export function byUnit(
  elements: Float64Array,
  cut: Cut,
  widths: Widths,
  { mean }: { mean: boolean },
): Float64Array {
  const sums = new Float64Array(unitsOf(widths)[partOf(cut)]);
  const counts = new Float64Array(sums.length);
  ownersIn(cut, widths).forEach((unit, element) => {
    if (unit < 0) return;
    sums[unit]! += elements[element]!;
    counts[unit]!++;
  });
  return mean ? sums.map((sum, unit) => sum / counts[unit]!) : sums;
}

/** Less the mean, over the standard deviation of a sample, so that layers and parts compare; zeros where all are equal. */
export function standardised(values: Float64Array): Float64Array {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  const deviation = Math.sqrt(squares / Math.max(1, values.length - 1));
  return values.map((value) => (deviation > 0 ? (value - mean) / deviation : 0));
}

const identity = (value: number) => value;

const matrixOf = (rows: number, columns: number, data: Float64Array): Matrix => ({ rows, columns, data });

function rowSums({ rows, columns, data }: Matrix, of: (value: number) => number): Float64Array {
  const sums = new Float64Array(rows);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) sums[i]! += of(data[i * columns + j]!);
  return sums;
}

function columnSums({ rows, columns, data }: Matrix, of: (value: number) => number): Float64Array {
  const sums = new Float64Array(columns);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) sums[j]! += of(data[i * columns + j]!);
  return sums;
}
