// Linear equations with a symmetric matrix that is positive definite, in float64.
import type { Matrix } from './matrix.ts';
import { dot } from './vectors.ts';

/**
 * X of X A = B, a row of B at a time, by Cholesky's factor L of A = L L^T (Golub and Van Loan, Matrix Computations, 4.2).
 * @param a [n, n], of which the lower triangle is read
 * @throws Error where A is not positive definite
 */
export function solveRows(a: Matrix, b: Matrix): Matrix {
  const n = a.rows;
  if (a.columns !== n || b.columns !== n)
    throw new Error(`solveRows: [${a.rows}, ${a.columns}] and [${b.rows}, ${b.columns}] do not fit`);
  const factor = cholesky(a);
  const data = b.data.slice();
  for (let row = 0; row < b.rows; row++) {
    const at = row * n;
    for (let i = 0; i < n; i++)
      data[at + i] = (data[at + i]! - dot(factor, i * n, data, at, i)) / factor[i * n + i]!;
    for (let i = n - 1; i >= 0; i--) {
      data[at + i]! /= factor[i * n + i]!;
      const found = data[at + i]!;
      for (let j = 0; j < i; j++) data[at + j]! -= found * factor[i * n + j]!;
    }
  }
  return { rows: b.rows, columns: n, data };
}

/** L, row-major; above the diagonal lies what A has there. */
function cholesky({ rows: n, data }: Matrix): Float64Array {
  const factor = data.slice();
  for (let i = 0; i < n; i++)
    for (let j = 0; j <= i; j++) {
      const rest = factor[i * n + j]! - dot(factor, i * n, factor, j * n, j);
      if (i > j) factor[i * n + j] = rest / factor[j * n + j]!;
      else if (rest > 0) factor[i * n + i] = Math.sqrt(rest);
      else throw new Error('solveRows: the matrix is not positive definite');
    }
  return factor;
}
