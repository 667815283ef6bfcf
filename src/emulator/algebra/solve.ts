// Linear equations with a symmetric matrix that is positive definite, in float64.
import type { Engine } from '../../engine/index.ts';
import { type Matrix, multiply } from './matrix.ts';
import { dot } from './vectors.ts';

/**
 * X of X A = B by Cholesky's factor L of A = L L^T (Golub and Van Loan, Matrix Computations, 4.2): B L^-T L^-1, whose products,
 * most of the work where B has many rows, the engine computes.
 * @param a [n, n], of which the lower triangle is read
 * @throws Error where A is not positive definite
 */
export async function solveRows(engine: Engine, a: Matrix, b: Matrix): Promise<Matrix> {
  const n = a.rows;
  if (a.columns !== n || b.columns !== n)
    throw new Error(`solveRows: [${a.rows}, ${a.columns}] and [${b.rows}, ${b.columns}] do not fit`);
  const inverse = { rows: n, columns: n, data: invertLower(cholesky(a), n) };
  return multiply(engine, await multiply(engine, b, inverse, { transB: true }), inverse);
}

/** L, row-major; what lies above the diagonal is not to be read. */
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

/** L^-1, row by row: (e_i - sum over k < i of L_ik times row k) / L_ii. */
function invertLower(factor: Float64Array, n: number): Float64Array {
  const inverse = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    const at = i * n;
    inverse[at + i] = 1;
    for (let k = 0; k < i; k++) {
      const weight = factor[at + k]!;
      if (weight !== 0) for (let j = 0; j <= k; j++) inverse[at + j]! -= weight * inverse[k * n + j]!;
    }
    for (let j = 0; j <= i; j++) inverse[at + j]! /= factor[at + i]!;
  }
  return inverse;
}
