// A symmetric matrix made tridiagonal by Householder reflections, and the way back (Golub and Van Loan, Matrix Computations, 8.3).
import { add, dot } from './vectors.ts';

/** A = Q T Q^T. */
export interface Tridiagonal {
  /** T's diagonal, [n]. */
  readonly diagonal: Float64Array;
  /** T's neighbouring diagonal, [n - 1]. */
  readonly beside: Float64Array;
  /** x becomes Q x, for each of `count` rows. */
  turnBack(rows: Float64Array, count: number): void;
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
    turnBack(rows, count) {
      for (let j = n - 2; j >= 0; j--) {
        const [at, length, weight] = [j * n + j + 1, n - j - 1, weights[j]!];
        if (weight === 0) continue;
        for (let row = 0; row < count; row++) {
          const from = row * n + j + 1;
          add(rows, from, -weight * dot(a, at, rows, from, length), a, at, length);
        }
      }
    },
  };
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

/** H A H for the reflection that lies in row j, on what is right of and below column j: A - v w^T - w v^T. */
function applyBothSides(a: Float64Array, n: number, j: number, weight: number, w: Float64Array): void {
  const v = j * n;
  w.fill(0, j + 1);
  // A v, each element of the upper triangle read once.
  for (let i = j + 1; i < n; i++) {
    const row = i * n;
    const own = a[v + i]!;
    let sum = a[row + i]! * own;
    for (let k = i + 1; k < n; k++) {
      const element = a[row + k]!;
      sum += element * a[v + k]!;
      w[k]! += element * own;
    }
    w[i]! += sum;
  }
  let along = 0;
  for (let i = j + 1; i < n; i++) along += w[i]! * a[v + i]!;
  for (let i = j + 1; i < n; i++) w[i] = weight * (w[i]! - 0.5 * weight * along * a[v + i]!);
  for (let i = j + 1; i < n; i++) {
    const row = i * n;
    const [own, other] = [a[v + i]!, w[i]!];
    for (let k = i; k < n; k++) a[row + k]! -= own * w[k]! + other * a[v + k]!;
  }
}
