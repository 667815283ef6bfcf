// A symmetric matrix made tridiagonal by Householder reflections, and the way back (Golub and Van Loan, Matrix Computations, 8.3).
import type { Engine } from '../../engine/index.ts';
import { type Matrix, matrix, multiply, rowBlocks, subtract } from './matrix.ts';

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
  // Of the reflection before, what is not yet taken from the rows below it: A - v w^T - w v^T.
  let v: Float64Array = new Float64Array(n);
  let [w, product] = [new Float64Array(n), new Float64Array(n)];
  for (let j = 0; j < n; j++) {
    takeFromRow(a, n, j, v, w);
    diagonal[j] = a[j * n + j]!;
    if (j + 1 === n) break;
    const { value, weight } = reflect(a, j * n + j + 1, n - j - 1);
    beside[j] = value;
    weights[j] = weight;
    const own = a.subarray(j * n, (j + 1) * n);
    takeAndMultiply(a, n, j + 1, { v, w }, own, product);
    bothSides(own, product, j + 1, weight);
    [v, w, product] = [own, product, w];
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
    for (const block of rowBlocks(rows)) {
      const narrow = await multiply(engine, block, v, { transB: true });
      subtract(block, await multiply(engine, await multiply(engine, narrow, t, { transB: true }), v));
    }
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

/** From A v to the w of H A H = A - v w^T - w v^T, in place; `start` is where v begins. */
function bothSides(v: Float64Array, w: Float64Array, start: number, weight: number): void {
  let along = 0;
  for (let i = start; i < v.length; i++) along += w[i]! * v[i]!;
  for (let i = start; i < v.length; i++) w[i] = weight * (w[i]! - 0.5 * weight * along * v[i]!);
}

/** A -= v w^T + w v^T in one row of the upper triangle. */
function takeFromRow(a: Float64Array, n: number, row: number, v: Float64Array, w: Float64Array): void {
  const own = row * n;
  const v0 = v[row]!;
  const w0 = w[row]!;
  for (let k = row; k < n; k++) a[own + k]! -= v0 * w[k]! + w0 * v[k]!;
}

/**
 * A -= v w^T + w v^T, and y = A x with what A then is, from row and column `start` on, each number of the upper triangle read and
 * written once; two rows at a time, which is faster.
 */
function takeAndMultiply(
  a: Float64Array,
  n: number,
  start: number,
  { v, w }: { readonly v: Float64Array; readonly w: Float64Array },
  x: Float64Array,
  y: Float64Array,
): void {
  y.fill(0, start);
  let i = start;
  for (; i + 1 < n; i += 2) {
    const row = i * n;
    const below = row + n;
    const [v0, v1, w0, w1] = [v[i]!, v[i + 1]!, w[i]!, w[i + 1]!];
    const [x0, x1] = [x[i]!, x[i + 1]!];
    const own = a[row + i]! - 2 * v0 * w0;
    const corner = a[row + i + 1]! - (v0 * w1 + w0 * v1);
    const belowOwn = a[below + i + 1]! - 2 * v1 * w1;
    a[row + i] = own;
    a[row + i + 1] = corner;
    a[below + i + 1] = belowOwn;
    let s0 = own * x0 + corner * x1;
    let s1 = belowOwn * x1 + corner * x0;
    for (let k = i + 2; k < n; k++) {
      const vk = v[k]!;
      const wk = w[k]!;
      const xk = x[k]!;
      const a0 = a[row + k]! - (v0 * wk + w0 * vk);
      const a1 = a[below + k]! - (v1 * wk + w1 * vk);
      a[row + k] = a0;
      a[below + k] = a1;
      s0 += a0 * xk;
      s1 += a1 * xk;
      y[k]! += a0 * x0 + a1 * x1;
    }
    y[i]! += s0;
    y[i + 1]! += s1;
  }
  if (i < n) {
    takeFromRow(a, n, i, v, w);
    y[i]! += a[i * n + i]! * x[i]!;
  }
}
