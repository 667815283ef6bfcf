// The factor L of a symmetric matrix without negative eigenvalues, C = L L^T, whether or not it is singular.
import { type Matrix, matrix } from './matrix.ts';

/** What rounding makes of a pivot that is 0, as a share of the largest. */
const rounding = 1e-15;

/**
 * Cholesky with the largest pivot first (Higham, Analysis of the Cholesky decomposition of a semi-definite matrix, 1990): L [n, rank]
 * of C = L L^T, rows in C's order. It ends where no pivot is above rounding, so that neither singular matrices nor small negative
 * eigenvalues do harm; zero gives rank 0.
 */
export function semidefiniteFactor({ rows: n, columns, data }: Matrix): Matrix {
  if (n !== columns) throw new Error(`semidefiniteFactor: [${n}, ${columns}] is not square`);
  // The order in which rows are pivots, and all else in that order: column r of L is found[r], from its row r on.
  const order = Uint32Array.from({ length: n }, (_, i) => i);
  const left = Float64Array.from({ length: n }, (_, i) => data[i * n + i]!);
  const found: Float64Array[] = [];
  const least = n * rounding * left.reduce((most, pivot) => Math.max(most, pivot), 0);
  for (let r = 0; r < n; r++) {
    const pivot = largestFrom(left, r);
    if (!(left[pivot]! > least)) break;
    for (const list of [order, left, ...found]) [list[r], list[pivot]] = [list[pivot]!, list[r]!];
    const column = new Float64Array(n);
    const row = order[r]! * n;
    for (let i = r + 1; i < n; i++) column[i] = data[row + order[i]!]!;
    for (const before of found) {
      const factor = before[r]!;
      for (let i = r + 1; i < n; i++) column[i]! -= factor * before[i]!;
    }
    const root = Math.sqrt(left[r]!);
    column[r] = root;
    for (let i = r + 1; i < n; i++) {
      column[i]! /= root;
      left[i]! -= column[i]! ** 2;
    }
    found.push(column);
  }
  const factor = matrix(n, found.length);
  found.forEach((column, r) => {
    for (let i = r; i < n; i++) factor.data[order[i]! * found.length + r] = column[i]!;
  });
  return factor;
}

function largestFrom(values: Float64Array, start: number): number {
  let largest = start;
  for (let i = start + 1; i < values.length; i++) if (values[i]! > values[largest]!) largest = i;
  return largest;
}
