// Eigenvalues and the leading eigenvectors of symmetric matrices, in float64.
import type { Engine } from '../../engine/index.ts';
import { blockSize, firstRows, type Matrix, matrix } from './matrix.ts';
import { type Tridiagonal, tridiagonalise } from './tridiagonal.ts';
import { arbitrary, fixSigns, orthonormaliseBlock } from './vectors.ts';

export interface Eigen {
  /** All eigenvalues, the largest first. */
  readonly values: Float64Array;
  /** Eigenvectors of the first ones, a row each: orthonormal, the largest number of each positive. */
  readonly vectors: Matrix;
}

/**
 * All eigenvalues of a symmetric matrix and the eigenvectors of the `count` largest ones: reduction to a tridiagonal matrix, its
 * eigenvalues by implicit QL, its eigenvectors by inverse iteration. Equal matrices give equal bits. Eigenvectors of equal
 * eigenvalues are some orthonormal basis of what they span. The eigenvectors of whole blocks of `blockSize` have the same bits however
 * many are asked for.
 * @throws Error for numbers that are not finite
 */
export async function symmetricEigen(
  engine: Engine,
  { rows: n, columns, data }: Matrix,
  count: number,
): Promise<Eigen> {
  if (n !== columns || count > n) throw new Error(`symmetricEigen: ${count} of [${n}, ${columns}]`);
  let largest = 0;
  for (let i = 0; i < data.length; i++) {
    const size = Math.abs(data[i]!);
    if (!(size < Number.POSITIVE_INFINITY)) throw new Error('symmetricEigen: the matrix is not finite');
    if (size > largest) largest = size;
  }
  const scale = largest === 0 ? 1 : largest;
  const scaled = new Float64Array(data.length);
  for (let i = 0; i < data.length; i++) scaled[i] = data[i]! / scale;
  const reduced = tridiagonalise(scaled, n);
  const values = eigenvaluesOf(reduced).sort().reverse();
  if (count === 0) return { values: values.map((value) => value * scale), vectors: matrix(0, n) };
  const vectors = await inverseIteration(engine, reduced, values.subarray(0, count));
  await reduced.turnBack(engine, vectors);
  fixSigns(vectors);
  return { values: values.map((value) => value * scale), vectors };
}

/** A matrix has no eigenvalue that takes QL this many steps. */
const mostSteps = 100;

/** Implicit QL with Wilkinson's shift; neighbours count as 0 where their matrix's numbers do not feel them. */
function eigenvaluesOf({ diagonal, beside }: Tridiagonal): Float64Array {
  const n = diagonal.length;
  const d = diagonal.slice();
  const e = new Float64Array(n);
  e.set(beside);
  for (let low = 0; low < n; low++)
    for (let step = 0; ; step++) {
      let high = low;
      while (
        high < n - 1 &&
        Math.abs(e[high]!) > Number.EPSILON * (Math.abs(d[high]!) + Math.abs(d[high + 1]!))
      )
        high++;
      if (high === low) break;
      if (step === mostSteps) throw new Error('symmetricEigen: QL does not converge');
      qlStep(d, e, low, high);
    }
  return d;
}

/** One step on the rows low to high, which no small neighbour splits: the shift's rotation, chased from the end to the top. */
function qlStep(d: Float64Array, e: Float64Array, low: number, high: number): void {
  const half = (d[low + 1]! - d[low]!) / (2 * e[low]!);
  const root = Math.hypot(half, 1);
  let bulge = d[high]! - d[low]! + e[low]! / (half + (half < 0 ? -root : root));
  let [sine, cosine, moved] = [1, 1, 0];
  for (let i = high - 1; i >= low; i--) {
    const f = sine * e[i]!;
    const b = cosine * e[i]!;
    // The matrix is scaled to 1: nothing overflows, and what underflows is nothing beside it.
    const length = Math.sqrt(f * f + bulge * bulge);
    e[i + 1] = length;
    if (length === 0) {
      d[i + 1]! -= moved;
      e[high] = 0;
      return;
    }
    sine = f / length;
    cosine = bulge / length;
    const rest = d[i + 1]! - moved;
    const turned = (d[i]! - rest) * sine + 2 * cosine * b;
    moved = sine * turned;
    d[i + 1] = rest + moved;
    bulge = cosine * turned - b;
  }
  d[low]! -= moved;
  e[low] = bulge;
  e[high] = 0;
}

/** How often vectors are solved for: the first time leaves what neighbours have of them, the second only rounding. */
const rounds = 2;
/** How often it may be done again since some were in the span of others; arbitrary numbers hardly ever are. */
const mostRounds = 16;

/**
 * Eigenvectors of T by eigenvalues in falling order, a row each: (T - value) x = the vector before, made orthogonal to those that
 * are there (Golub and Van Loan, 8.2.2), from arbitrary numbers.
 */
async function inverseIteration(engine: Engine, reduced: Tridiagonal, values: Float64Array): Promise<Matrix> {
  const n = reduced.diagonal.length;
  const small = Number.EPSILON * (normOf(reduced) || 1);
  const next = arbitrary();
  const found = matrix(values.length, n);
  let shift = Number.POSITIVE_INFINITY;
  for (let start = 0; start < values.length; start += blockSize) {
    const solvers = Array.from(values.subarray(start, start + blockSize), (value) => {
      // Equal shifts would give the same vector again and again.
      shift = Math.min(value, shift - 8 * small);
      return solver(reduced, shift, small);
    });
    const block = matrix(solvers.length, n);
    for (let i = 0; i < block.data.length; i++) block.data[i] = next();
    for (let round = 1; ; round++) {
      if (round > mostRounds) throw new Error('symmetricEigen: some eigenvectors are not found');
      solvers.forEach((solve, row) => {
        solve(block.data.subarray(row * n, (row + 1) * n));
      });
      const own = await orthonormaliseBlock(
        engine,
        block,
        firstRows(found, start),
        next,
        round < rounds ? 1 : 2,
      );
      if (own && round >= rounds) break;
    }
    found.data.set(block.data, start * n);
  }
  return found;
}

/** The largest sum of a row of T. */
function normOf({ diagonal, beside }: Tridiagonal): number {
  return diagonal.reduce(
    (most, value, i) =>
      Math.max(most, Math.abs(value) + Math.abs(beside[i - 1] ?? 0) + Math.abs(beside[i] ?? 0)),
    0,
  );
}

/** Solves (T - shift) x = b, b in place, by Gaussian elimination with row exchanges; a pivot below `small` counts as that. */
function solver({ diagonal, beside }: Tridiagonal, shift: number, small: number): (x: Float64Array) => void {
  const n = diagonal.length;
  const [pivot, right, second] = [new Float64Array(n), new Float64Array(n), new Float64Array(n)];
  const factor = new Float64Array(n);
  const exchanged = new Uint8Array(n);
  // One by one, not from a list: else each number of the loop is an object of its own.
  let own = diagonal[0]! - shift;
  let following = n > 1 ? beside[0]! : 0;
  for (let i = 0; i + 1 < n; i++) {
    const below = beside[i]!;
    const belowOwn = diagonal[i + 1]! - shift;
    const belowRight = i + 2 < n ? beside[i + 1]! : 0;
    if (Math.abs(below) <= Math.abs(own)) {
      const share = own === 0 ? 0 : below / own;
      pivot[i] = own;
      right[i] = following;
      factor[i] = share;
      own = belowOwn - share * following;
      following = belowRight;
    } else {
      const share = own / below;
      exchanged[i] = 1;
      pivot[i] = below;
      right[i] = belowOwn;
      second[i] = belowRight;
      factor[i] = share;
      own = following - share * belowOwn;
      following = -share * belowRight;
    }
  }
  pivot[n - 1] = own;
  for (let i = 0; i < n; i++) if (Math.abs(pivot[i]!) < small) pivot[i] = pivot[i]! < 0 ? -small : small;
  return (x) => {
    for (let i = 0; i + 1 < n; i++) {
      const own = x[i]!;
      if (exchanged[i] === 1) {
        x[i] = x[i + 1]!;
        x[i + 1] = own - factor[i]! * x[i]!;
      } else x[i + 1]! -= factor[i]! * own;
    }
    x[n - 1]! /= pivot[n - 1]!;
    for (let i = n - 2; i >= 0; i--)
      x[i] = (x[i]! - right[i]! * x[i + 1]! - (i + 2 < n ? second[i]! * x[i + 2]! : 0)) / pivot[i]!;
  };
}
