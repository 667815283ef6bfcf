// The components of a linear map that matter most on the inputs that it gets.
import type { Engine } from '../../engine/index.ts';
import { symmetricEigen } from '../algebra/eigen.ts';
import { semidefiniteFactor } from '../algebra/factor.ts';
import { type Matrix, matrix, multiply } from '../algebra/matrix.ts';
import { dot, fixSigns, orthonormaliseRows } from '../algebra/vectors.ts';
import type { InputMoments } from '../observe/observations.ts';

/** How much a direction that no input has counts beside the mean one: it only orders what else would be equal. */
const unseen = 1e-10;

/** The spread of a map's inputs, E[(x - mean)(x - mean)^T], with a little in each direction; the identity where there is none. */
export function spreadOf({ mean, second }: InputMoments): Matrix {
  const n = mean.length;
  const spread = matrix(n, n, second);
  let trace = 0;
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) spread.data[i * n + j]! -= mean[i]! * mean[j]!;
    trace += Math.max(0, spread.data[i * n + i]!);
  }
  const least = trace === 0 ? 1 : (unseen * trace) / n;
  for (let i = 0; i < n; i++) spread.data[i * n + i] = Math.max(0, spread.data[i * n + i]!) + least;
  return spread;
}

export interface Components {
  /** The variance of the outputs along each component, the largest first; the squared singular values of W C^(1/2). */
  readonly energies: Float64Array;
  /** Unit vectors among the outputs, a row each, orthogonal but for rounding: the left singular vectors of W C^(1/2). */
  readonly directions: Matrix;
}

/**
 * The components of W [to, from] on inputs of the spread C, all energies and the first `count` directions, at most min(to, from).
 * It solves for the smaller side (eigenvectors of W C W^T, or of L^T W^T W L with C = L L^T, of which directions follow), so that
 * C need not be invertible. To drop all but some orthonormal directions U, U U^T W in the place of W, costs the energies of those
 * that are dropped, which is the least that the rank allows: the truncation of SVD-LLM V2 (arXiv 2503.12340) without an inverse.
 */
export async function outputComponents(
  engine: Engine,
  w: Matrix,
  spread: Matrix,
  count: number,
): Promise<Components> {
  if (w.rows <= w.columns) {
    const product = await multiply(engine, await multiply(engine, w, spread), w, { transB: true });
    const { values, vectors } = await symmetricEigen(engine, symmetric(product), count);
    return { energies: values.map(notNegative), directions: vectors };
  }
  const outputs = await multiply(engine, w, semidefiniteFactor(spread));
  const product = await multiply(engine, outputs, outputs, { transA: true });
  const { values, vectors } = await symmetricEigen(engine, symmetric(product), Math.min(count, product.rows));
  const directions = await multiply(engine, vectors, outputs, { transB: true });
  const { rows, columns, data } = directions;
  for (let at = 0; at < rows * columns; at += columns) {
    const length = Math.sqrt(dot(data, at, data, at, columns));
    if (length > 0) for (let i = at; i < at + columns; i++) data[i]! /= length;
  }
  fixSigns(directions);
  return { energies: values.map(notNegative), directions };
}

/** `rank` orthonormal vectors: the chosen directions, and where there are fewer, arbitrary ones. */
export async function orthonormalBasis(
  engine: Engine,
  { columns, data }: Matrix,
  chosen: readonly number[],
  rank: number,
): Promise<Matrix> {
  const basis = matrix(rank, columns);
  chosen.forEach((row, i) => {
    basis.data.set(data.subarray(row * columns, (row + 1) * columns), i * columns);
  });
  await orthonormaliseRows(engine, basis);
  return basis;
}

/** The nearest symmetric matrix: products are symmetric but for rounding. */
function symmetric({ rows: n, data }: Matrix): Matrix {
  for (let i = 0; i < n; i++)
    for (let j = 0; j < i; j++) {
      const mean = (data[i * n + j]! + data[j * n + i]!) / 2;
      data[i * n + j] = mean;
      data[j * n + i] = mean;
    }
  return { rows: n, columns: n, data };
}

const notNegative = (value: number) => Math.max(0, value);
