// Arithmetic of low-rank products: their sum with a matrix, their size without their elements, and their gradients.

/** left [rows, rank] times right [rank, columns], both row-major. */
export interface LowRank {
  left: Float32Array;
  right: Float32Array;
  rows: number;
  columns: number;
  rank: number;
}

/** into + scale * left right, in place. */
export function addProduct(into: Float32Array, product: LowRank, scale: number): void {
  const { rows, columns } = product;
  const some = new Float64Array(2 * columns);
  for (let from = 0; from < rows; from += 2) {
    const to = Math.min(rows, from + 2);
    productRows(some, product, [from, to], scale);
    const [at, size] = [from * columns, (to - from) * columns];
    for (let i = 0; i < size; i++) into[at + i] = (into[at + i] as number) + (some[i] as number);
  }
}

/**
 * Rows of scale * left right, in float64. Each element is summed in the order of the rank. Two rows and four terms go together: the
 * same bits as one by one, and fewer loads and stores.
 * @param into [rows, columns] or more, filled as far as there are rows
 */
export function productRows(
  into: Float64Array,
  product: Omit<LowRank, 'rows'>,
  [from, to]: readonly [number, number],
  scale: number,
): void {
  const { columns, rank } = product;
  into.fill(0, 0, (to - from) * columns);
  const row = (i: number) => into.subarray((i - from) * columns, (i - from + 1) * columns);
  for (let i = from; i < to; i += 2) {
    const together = i + 1 < to ? rank - (rank % 4) : 0;
    for (let k = 0; k < together; k += 4) addFourTerms([row(i), row(i + 1)], product, [i, k], scale);
    for (let one = i; one < Math.min(to, i + 2); one++)
      for (let k = together; k < rank; k++) addTerm(row(one), product, [one, k], scale);
  }
}

/** Adds the terms k to k + 3 to the rows i and i + 1. */
function addFourTerms(
  [first, second]: readonly [Float64Array, Float64Array],
  { left, right, columns, rank }: Omit<LowRank, 'rows'>,
  [i, k]: readonly [number, number],
  scale: number,
): void {
  const factor = (row: number, term: number) => scale * (left[(i + row) * rank + k + term] as number);
  const [a, b, c, d] = [factor(0, 0), factor(0, 1), factor(0, 2), factor(0, 3)];
  const [e, f, g, h] = [factor(1, 0), factor(1, 1), factor(1, 2), factor(1, 3)];
  const [atA, atB, atC, atD] = [k * columns, (k + 1) * columns, (k + 2) * columns, (k + 3) * columns];
  for (let j = 0; j < columns; j++) {
    const x = right[atA + j] as number;
    const y = right[atB + j] as number;
    const z = right[atC + j] as number;
    const w = right[atD + j] as number;
    first[j] = (first[j] as number) + a * x + b * y + c * z + d * w;
    second[j] = (second[j] as number) + e * x + f * y + g * z + h * w;
  }
}

function addTerm(
  row: Float64Array,
  { left, right, columns, rank }: Omit<LowRank, 'rows'>,
  [i, k]: readonly [number, number],
  scale: number,
): void {
  const [factor, at] = [scale * (left[i * rank + k] as number), k * columns];
  for (let j = 0; j < columns; j++) row[j] = (row[j] as number) + factor * (right[at + j] as number);
}

/** What a product's elements are at most, out of its factors. */
export interface ProductSize {
  /** The sum of their squares; what its own rounding may have taken away is counted in. */
  readonly squares: number;
  /** No absolute value is larger (Cauchy-Schwarz); with rank 1 it is the largest one. */
  readonly largest: number;
}

/**
 * The size of scale * left right, whose elements are never made: the squared Frobenius norm is the sum of the factors' Gram
 * matrices multiplied element by element. It takes rank^2 (rows + columns) steps, in float64, and the factors' own memory.
 */
export function productSize({ left, right, rows, columns, rank }: LowRank, scale: number): ProductSize {
  const turned = transpose(left, rows, rank);
  let sum = 0;
  let atMost = 0;
  for (let k = 0; k < rank; k++) {
    for (let l = 0; l < k; l++)
      sum += 2 * rowsProduct(turned, rows, k, l) * rowsProduct(right, columns, k, l);
    const own = rowsProduct(turned, rows, k, k) * rowsProduct(right, columns, k, k);
    sum += own;
    atMost += Math.sqrt(own);
  }
  // Columns that cancel each other leave nothing of a sum but its rounding: so much of it may be missing.
  const rounding = (rows + columns + rank * rank) * Number.EPSILON * atMost ** 2;
  return {
    squares: scale ** 2 * (Math.max(0, sum) + rounding),
    largest: Math.abs(scale) * Math.sqrt(longestRow(left, rows, rank) * longestColumn(right, rank, columns)),
  };
}

/**
 * The size that scale * left right would have at most if nothing of it cancelled: the sum over k of |left[:, k]| |right[k, :]|,
 * Euclidean norms. Who runs the factors one after the other has the rounding of numbers of this size, and not of the product's.
 */
export function sizeUncancelled({ left, right, rows, columns, rank }: LowRank, scale: number): number {
  const turned = transpose(left, rows, rank);
  let sum = 0;
  for (let k = 0; k < rank; k++)
    sum += Math.sqrt(rowsProduct(turned, rows, k, k) * rowsProduct(right, columns, k, k));
  return Math.abs(scale) * sum;
}

/** The scalar product of two rows of a matrix. */
function rowsProduct(matrix: Float32Array, columns: number, one: number, other: number): number {
  const [from, beside] = [one * columns, other * columns];
  let sum = 0;
  for (let i = 0; i < columns; i++) sum += (matrix[from + i] as number) * (matrix[beside + i] as number);
  return sum;
}

/** The largest sum of squares of a row. */
function longestRow(matrix: Float32Array, rows: number, columns: number): number {
  let most = 0;
  for (let row = 0; row < rows; row++) most = Math.max(most, rowsProduct(matrix, columns, row, row));
  return most;
}

/** The largest sum of squares of a column. */
function longestColumn(matrix: Float32Array, rows: number, columns: number): number {
  const sums = new Float64Array(columns);
  for (let row = 0, at = 0; row < rows; row++)
    for (let column = 0; column < columns; column++, at++) sums[column]! += (matrix[at] as number) ** 2;
  return sums.reduce((most, sum) => Math.max(most, sum), 0);
}

/** dL/d(left) and dL/d(right) of scale * left right, out of dL/d(product) [rows, columns]; summed in float64. */
export function productGradients(
  gradient: Float32Array,
  { left, right, rows, columns, rank }: LowRank,
  scale: number,
): { left: Float32Array; right: Float32Array } {
  const dleft = new Float32Array(rows * rank);
  const dright = new Float64Array(rank * columns);
  for (let i = 0; i < rows; i++) {
    for (let k = 0; k < rank; k++) {
      const factor = left[i * rank + k] as number;
      let sum = 0;
      for (let j = 0; j < columns; j++) {
        const d = gradient[i * columns + j] as number;
        sum += d * (right[k * columns + j] as number);
        dright[k * columns + j] = (dright[k * columns + j] as number) + d * factor;
      }
      dleft[i * rank + k] = scale * sum;
    }
  }
  return { left: dleft, right: Float32Array.from(dright, (value) => scale * value) };
}

/** [rows, columns] to [columns, rows]. */
export function transpose(values: Float32Array, rows: number, columns: number): Float32Array {
  const turned = new Float32Array(values.length);
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++) turned[j * rows + i] = values[i * columns + j] as number;
  return turned;
}
