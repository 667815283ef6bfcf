// The components of a linear map that matter most on the inputs that it gets.
import type { Engine } from '../../engine/index.ts';
import { symmetricEigen } from '../algebra/eigen.ts';
import { semidefiniteFactor } from '../algebra/factor.ts';
import { blockSize, type Matrix, matrix, multiply, multiplyBlocks } from '../algebra/matrix.ts';
import { dot, fixSigns, orthonormaliseRows } from '../algebra/vectors.ts';
import type { InputMoments } from '../observe/observations.ts';

/** How much a direction that no input has counts beside the mean one: it only orders what else would be equal. */
const unseen = 1e-10;

/** The spread of a map's inputs, E[(x - mean)(x - mean)^T], with a little in each direction; the identity where there is none. */
export class Spread {
  readonly matrix: Matrix;
  #factor: Matrix | undefined;

  constructor({ mean, second }: InputMoments) {
    const n = mean.length;
    const spread = matrix(n, n, second);
    let trace = 0;
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) spread.data[i * n + j]! -= mean[i]! * mean[j]!;
      trace += Math.max(0, spread.data[i * n + i]!);
    }
    const least = trace === 0 ? 1 : (unseen * trace) / n;
    for (let i = 0; i < n; i++) spread.data[i * n + i] = Math.max(0, spread.data[i * n + i]!) + least;
    this.matrix = spread;
  }

  /** L, of the spread L L^T. */
  get factor(): Matrix {
    this.#factor ??= semidefiniteFactor(this.matrix);
    return this.#factor;
  }
}

const spreads = new WeakMap<InputMoments, Spread>();

/** Made once for maps that share their inputs. */
export function spreadOf(moments: InputMoments): Spread {
  const spread = spreads.get(moments) ?? new Spread(moments);
  spreads.set(moments, spread);
  return spread;
}

export interface Components {
  /** The variance of the outputs along each component, the largest first; the squared singular values of W C^(1/2). */
  readonly energies: Float64Array;
  /** Unit vectors among the outputs, a row each, orthogonal but for rounding: the left singular vectors of W C^(1/2). */
  readonly directions: Matrix;
  /** Whether they are orthonormal as float64 can say. */
  readonly isOrthonormal: boolean;
}

/**
 * The components of W [to, from] on inputs of the spread C, all energies and the first `count` directions, at most min(to, from).
 * It solves for the smaller side (eigenvectors of W C W^T, or of L^T W^T W L with C = L L^T, of which directions follow), so that
 * C need not be invertible. To drop all but some orthonormal directions U, U U^T W in the place of W, costs the energies of those
 * that are dropped, which is the least that the rank allows: the truncation of SVD-LLM V2 (arXiv 2503.12340) without an inverse.
 * The directions of whole blocks of `blockSize` have the same bits however many are asked for.
 */
export async function outputComponents(
  engine: Engine,
  w: Matrix,
  spread: Spread,
  count: number,
): Promise<Components> {
  if (w.rows <= w.columns) {
    const product = await multiply(engine, await multiply(engine, w, spread.matrix), w, { transB: true });
    const { values, vectors } = await symmetricEigen(engine, symmetric(product), count);
    return { energies: values.map(notNegative), directions: vectors, isOrthonormal: true };
  }
  const outputs = await multiply(engine, w, spread.factor);
  const product = await multiply(engine, outputs, outputs, { transA: true });
  const { values, vectors } = await symmetricEigen(engine, symmetric(product), Math.min(count, product.rows));
  const directions = await multiplyBlocks(engine, vectors, outputs, { transB: true });
  const { rows, columns, data } = directions;
  for (let at = 0; at < rows * columns; at += columns) {
    const length = Math.sqrt(dot(data, at, data, at, columns));
    if (length > 0) for (let i = at; i < at + columns; i++) data[i]! /= length;
  }
  fixSigns(directions);
  return { energies: values.map(notNegative), directions, isOrthonormal: false };
}

/**
 * The first `rank` orthonormal directions, or some more: whole blocks, so that they have the same bits at any rank.
 */
export async function leadingBasis(engine: Engine, w: Matrix, spread: Spread, rank: number): Promise<Matrix> {
  const count = Math.min(w.rows, w.columns, Math.ceil(rank / blockSize) * blockSize);
  const { directions, isOrthonormal } = await outputComponents(engine, w, spread, count);
  if (isOrthonormal) return directions;
  return orthonormalBasis(engine, directions, [...Array(directions.rows).keys()], count);
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
