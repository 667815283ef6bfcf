// A symmetric matrix made tridiagonal by Householder reflections, and the way back (Golub and Van Loan, Matrix Computations, 8.3).
import type { Engine } from '../../engine/index.ts';
import { type Matrix, matrix, multiply, multiplyBlocks, subtract } from './matrix.ts';

/** A = Q T Q^T. */
export interface Tridiagonal {
  /** T's diagonal, [n]. */
  readonly diagonal: Float64Array;
  /** T's neighbouring diagonal, [n - 1]. */
  readonly beside: Float64Array;
  /** x becomes Q x, for each row. */
  turnBack(engine: Engine, rows: Matrix): Promise<void>;
}

/** @param a symmetric, [n, n]; its upper triangle is read, and used up: the reflections stay there */
export function tridiagonalise(a: Float64Array, n: number): Tridiagonal {
  const diagonal = new Float64Array(n);
  const beside = new Float64Array(Math.max(0, n - 1));
  const weights = new Float64Array(n);
  const product = new Float64Array(n);
  for (let j = 0; j < n; j++) {
    diagonal[j] = a[j * n + j]!;
    if (j + 1 === n) break;
    const { value, weight } = reflect(a, j * n + j + 1, n - j - 1);
    beside[j] = value;
    weights[j] = weight;
    if (weight !== 0) applyBothSides(a, n, j, weight, product);
  }
  return {
    diagonal,
    beside,
    turnBack: (engine, rows) => turnBack(engine, a, weights, rows),
  };
}

/** How many reflections become one product. */
const together = 64;

/**
 * Q x = H_0 H_1 ... x, the last reflections first, several as I - V^T T V (the compact WY representation: Schreiber and Van Loan,
 * 1989), with a row of V for each.
 */
async function turnBack(engine: Engine, a: Float64Array, weights: Float64Array, rows: Matrix): Promise<void> {
  const n = weights.length;
  for (let end = n - 1; end > 0; end -= together) {
    const start = Math.max(0, end - together);
    const v = matrix(end - start, n);
    for (let j = start; j < end; j++)
      v.data.set(a.subarray(j * n + j + 1, (j + 1) * n), (j - start) * n + j + 1);
    const t = triangle(await multiply(engine, v, v, { transB: true }), weights.subarray(start, end));
    const narrow = await multiplyBlocks(engine, rows, v, { transB: true });
    subtract(
      rows,
      await multiplyBlocks(engine, await multiplyBlocks(engine, narrow, t, { transB: true }), v),
    );
  }
}

/** T, upper triangular, of reflections whose vectors have the products V V^T. */
function triangle({ rows: count, data: products }: Matrix, weights: Float64Array): Matrix {
  const t = matrix(count, count);
  for (let last = 0; last < count; last++) {
    t.data[last * count + last] = weights[last]!;
    for (let i = 0; i < last; i++) {
      let sum = 0;
      for (let k = i; k < last; k++) sum += t.data[i * count + k]! * products[k * count + last]!;
      t.data[i * count + last] = -weights[last]! * sum;
    }
  }
  return t;
}

/**
 * The reflection I - weight v v^T that turns x into (value, 0, ..., 0); v, whose first number is 1, takes the place of x.
 * Weight 0: x is that already.
 */
function reflect(x: Float64Array, at: number, length: number): { value: number; weight: number } {
  const first = x[at]!;
  let largest = 0;
  for (let i = at + 1; i < at + length; i++) largest = Math.max(largest, Math.abs(x[i]!));
  if (largest === 0) return { value: first, weight: 0 };
  const scale = Math.max(largest, Math.abs(first));
  let squares = (first / scale) ** 2;
  for (let i = at + 1; i < at + length; i++) squares += (x[i]! / scale) ** 2;
  const value = (first > 0 ? -scale : scale) * Math.sqrt(squares);
  x[at] = 1;
  for (let i = at + 1; i < at + length; i++) x[i]! /= first - value;
  return { value, weight: (value - first) / value };
}

/** H A H for the reflection v that lies in row j, on what is right of and below column j: A - v w^T - w v^T. */
function applyBothSides(a: Float64Array, n: number, j: number, weight: number, w: Float64Array): void {
  const v = a.subarray(j * n, (j + 1) * n);
  productWith(a, n, j + 1, v, w);
  let along = 0;
  for (let i = j + 1; i < n; i++) along += w[i]! * v[i]!;
  for (let i = j + 1; i < n; i++) w[i] = weight * (w[i]! - 0.5 * weight * along * v[i]!);
  takeAway(a, n, j + 1, v, w);
}

/** w = A v from row and column `start` on, each number of the upper triangle read once; two rows at a time, which is faster. */
function productWith(a: Float64Array, n: number, start: number, v: Float64Array, w: Float64Array): void {
  w.fill(0, start);
  let i = start;
  for (; i + 1 < n; i += 2) {
    const [row, below] = [i * n, (i + 1) * n];
    const [v0, v1] = [v[i]!, v[i + 1]!];
    const corner = a[row + i + 1]!;
    let s0 = a[row + i]! * v0 + corner * v1;
    let s1 = a[below + i + 1]! * v1 + corner * v0;
    for (let k = i + 2; k < n; k++) {
      const a0 = a[row + k]!;
      const a1 = a[below + k]!;
      const vk = v[k]!;
      s0 += a0 * vk;
      s1 += a1 * vk;
      w[k]! += a0 * v0 + a1 * v1;
    }
    w[i]! += s0;
    w[i + 1]! += s1;
  }
  if (i < n) w[i]! += a[i * n + i]! * v[i]!;
}

/** A -= v w^T + w v^T from row and column `start` on, in the upper triangle. */
function takeAway(a: Float64Array, n: number, start: number, v: Float64Array, w: Float64Array): void {
  let i = start;
  for (; i + 1 < n; i += 2) {
    const [row, below] = [i * n, (i + 1) * n];
    const [v0, v1, w0, w1] = [v[i]!, v[i + 1]!, w[i]!, w[i + 1]!];
    a[row + i]! -= 2 * v0 * w0;
    for (let k = i + 1; k < n; k++) {
      const vk = v[k]!;
      const wk = w[k]!;
      a[row + k]! -= v0 * wk + w0 * vk;
      a[below + k]! -= v1 * wk + w1 * vk;
    }
  }
  if (i < n) a[i * n + i]! -= 2 * v[i]! * w[i]!;
}
