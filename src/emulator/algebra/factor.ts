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
  // Row r of `found` is column r of L.
  const found: Float64Array[] = [];
  const left = Float64Array.from({ length: n }, (_, i) => data[i * n + i]!);
  const open = new Uint8Array(n).fill(1);
  const least = n * rounding * left.reduce((most, pivot) => Math.max(most, pivot), 0);
  while (found.length < n) {
    const pivot = largestOf(left, open);
    if (!(left[pivot]! > least)) break;
    const column = data.slice(pivot * n, (pivot + 1) * n);
    for (const before of found) {
      const factor = before[pivot]!;
      if (factor !== 0) for (let i = 0; i < n; i++) column[i]! -= factor * before[i]!;
    }
    const root = Math.sqrt(left[pivot]!);
    open[pivot] = 0;
    for (let i = 0; i < n; i++) {
      if (i === pivot) column[i] = root;
      else if (open[i] === 0) column[i] = 0;
      else {
        column[i]! /= root;
        left[i]! -= column[i]! ** 2;
      }
    }
    found.push(column);
  }
  const factor = matrix(n, found.length);
  found.forEach((column, r) => {
    for (let i = 0; i < n; i++) factor.data[i * found.length + r] = column[i]!;
  });
  return factor;
}

function largestOf(values: Float64Array, open: Uint8Array): number {
  let largest = open.indexOf(1);
  for (let i = largest + 1; i < values.length; i++)
    if (open[i] === 1 && values[i]! > values[largest]!) largest = i;
  return largest;
}
