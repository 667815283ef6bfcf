// The best low-rank factors of a matrix: a truncated singular value decomposition by subspace iteration, in float64.
import { Random } from '../../data/index.ts';

export interface Truncated {
  /** [rows, rank] */
  readonly left: Float32Array;
  /** [rank, columns] */
  readonly right: Float32Array;
  /** The squared norm of left right, and that of the matrix. */
  readonly kept: number;
  readonly whole: number;
}

/** More directions than are wanted, so that the wanted ones converge fast. */
const oversampling = 8;
const mostIterations = 60;
/** Of the matrix' squared norm: what another iteration would add. */
const tolerance = 1e-9;

/**
 * The product of this rank that is nearest to a matrix [rows, columns], each singular value shared evenly by both factors
 * (Halko, Martinsson and Tropp, arXiv 0909.4061, with iterations until nothing is gained). What is zero in a whole row or
 * column stays zero there. Equal matrices give equal bits.
 */
export function truncate(values: Float32Array, rows: number, columns: number, rank: number): Truncated {
  const width = Math.min(rank + oversampling, rows, columns);
  let whole = 0;
  for (let i = 0; i < values.length; i++) whole += values[i]! * values[i]!;
  if (whole === 0)
    return { left: new Float32Array(rows * rank), right: new Float32Array(rank * columns), kept: 0, whole };
  const right = startOf(width, columns);
  const left = Array.from({ length: width }, () => new Float64Array(rows));
  let captured = -1;
  for (let i = 0; i < mostIterations; i++) {
    timesTransposed(values, columns, right, left);
    orthonormalise(left);
    transposedTimes(values, columns, left, right);
    const energy = right.reduce((sum, row) => sum + dot(row, row), 0);
    if (energy - captured <= tolerance * whole) break;
    captured = energy;
    if (i + 1 < mostIterations) orthonormalise(right);
  }
  // The last `right` is left^T M: of its small Gram matrix come the singular values and both factors.
  const { vectors, squares } = eigenOf(right.map((a) => right.map((b) => dot(a, b))));
  return factorsOf({ left, right, vectors, squares }, { rows, columns, rank, whole });
}

interface Subspace {
  readonly left: readonly Float64Array[];
  readonly right: readonly Float64Array[];
  readonly vectors: readonly (readonly number[])[];
  readonly squares: readonly number[];
}

function factorsOf(
  { left, right, vectors, squares }: Subspace,
  { rows, columns, rank, whole }: { rows: number; columns: number; rank: number; whole: number },
): Truncated {
  const out = { left: new Float32Array(rows * rank), right: new Float32Array(rank * columns) };
  let kept = 0;
  for (let k = 0; k < Math.min(rank, squares.length); k++) {
    const value = Math.sqrt(Math.max(0, squares[k]!));
    // Below this it is the rounding of what is above.
    if (!(value * value > 1e-24 * whole)) continue;
    kept += value * value;
    const root = Math.sqrt(value);
    const mixed = (basis: readonly Float64Array[], at: number) =>
      basis.reduce((sum, vector, j) => sum + vectors[k]![j]! * vector[at]!, 0);
    for (let i = 0; i < rows; i++) out.left[i * rank + k] = mixed(left, i) * root;
    for (let j = 0; j < columns; j++) out.right[k * columns + j] = mixed(right, j) / root;
  }
  return { ...out, kept: Math.min(kept, whole), whole };
}

function startOf(width: number, columns: number): Float64Array[] {
  const random = new Random(0);
  const rows = Array.from({ length: width }, () =>
    Float64Array.from({ length: columns }, () => random.next() / 2 ** 31 - 1),
  );
  orthonormalise(rows);
  return rows;
}

/** into[k] = M right[k]. */
function timesTransposed(
  values: Float32Array,
  columns: number,
  right: readonly Float64Array[],
  into: readonly Float64Array[],
): void {
  const row = new Float64Array(columns);
  for (let i = 0; i < into[0]!.length; i++) {
    row.set(values.subarray(i * columns, (i + 1) * columns));
    for (let k = 0; k < right.length; k++) into[k]![i] = dot(row, right[k]!);
  }
}

/** into[k] = M^T left[k]. */
function transposedTimes(
  values: Float32Array,
  columns: number,
  left: readonly Float64Array[],
  into: readonly Float64Array[],
): void {
  for (const row of into) row.fill(0);
  for (let i = 0; i < left[0]!.length; i++) {
    const from = i * columns;
    for (let k = 0; k < left.length; k++) {
      const factor = left[k]![i]!;
      if (factor === 0) continue;
      const row = into[k]!;
      for (let j = 0; j < columns; j++) row[j]! += factor * values[from + j]!;
    }
  }
}

/** Gram and Schmidt, twice; what is left of a dependent vector becomes zero. */
function orthonormalise(vectors: readonly Float64Array[]): void {
  for (const [k, vector] of vectors.entries()) {
    const before = Math.sqrt(dot(vector, vector));
    for (let pass = 0; pass < 2; pass++) {
      for (let j = 0; j < k; j++) {
        const other = vectors[j]!;
        const share = dot(vector, other);
        for (let i = 0; i < vector.length; i++) vector[i]! -= share * other[i]!;
      }
    }
    const norm = Math.sqrt(dot(vector, vector));
    if (!(norm > 1e-12 * before)) vector.fill(0);
    else for (let i = 0; i < vector.length; i++) vector[i]! /= norm;
  }
}

/** Jacobi's rotations on a small symmetric matrix: eigenvectors as rows, from the largest eigenvalue. */
function eigenOf(matrix: number[][]): { vectors: number[][]; squares: number[] } {
  const n = matrix.length;
  const vectors = matrix.map((_, i) => matrix.map((_, j) => Number(i === j)));
  const size = Math.sqrt(matrix.reduce((sum, row) => sum + row.reduce((s, x) => s + x * x, 0), 0));
  for (let sweep = 0; sweep < 50; sweep++) {
    let off = 0;
    for (let p = 0; p < n; p++) for (let q = p + 1; q < n; q++) off = Math.max(off, Math.abs(matrix[p]![q]!));
    if (!(off > 1e-16 * size)) break;
    for (let p = 0; p < n; p++) for (let q = p + 1; q < n; q++) rotate(matrix, vectors, p, q);
  }
  const order = matrix.map((_, i) => i).sort((a, b) => matrix[b]![b]! - matrix[a]![a]! || a - b);
  return { vectors: order.map((i) => vectors[i]!), squares: order.map((i) => matrix[i]![i]!) };
}

function rotate(a: number[][], vectors: number[][], p: number, q: number): void {
  const apq = a[p]![q]!;
  if (apq === 0) return;
  const theta = (a[q]![q]! - a[p]![p]!) / (2 * apq);
  const t = Math.sign(theta || 1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1));
  const c = 1 / Math.sqrt(t * t + 1);
  const s = t * c;
  for (let k = 0; k < a.length; k++) {
    const [x, y] = [a[k]![p]!, a[k]![q]!];
    a[k]![p] = c * x - s * y;
    a[k]![q] = s * x + c * y;
  }
  for (let k = 0; k < a.length; k++) {
    const [x, y] = [a[p]![k]!, a[q]![k]!];
    a[p]![k] = c * x - s * y;
    a[q]![k] = s * x + c * y;
    const [v, w] = [vectors[p]![k]!, vectors[q]![k]!];
    vectors[p]![k] = c * v - s * w;
    vectors[q]![k] = s * v + c * w;
  }
}

function dot(x: Float64Array, y: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i]! * y[i]!;
  return sum;
}
