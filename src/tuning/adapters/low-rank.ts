// Arithmetic of low-rank products: their sum with a matrix, and their gradients.

/** left [rows, rank] times right [rank, columns], both row-major. */
export interface LowRank {
  left: Float32Array;
  right: Float32Array;
  rows: number;
  columns: number;
  rank: number;
}

/** into + scale * left right, in place. */
export function addProduct(
  into: Float32Array,
  { left, right, rows, columns, rank }: LowRank,
  scale: number,
): void {
  const row = new Float64Array(columns);
  for (let i = 0; i < rows; i++) {
    row.fill(0);
    for (let k = 0; k < rank; k++) {
      const factor = scale * (left[i * rank + k] as number);
      for (let j = 0; j < columns; j++)
        row[j] = (row[j] as number) + factor * (right[k * columns + j] as number);
    }
    for (let j = 0; j < columns; j++)
      into[i * columns + j] = (into[i * columns + j] as number) + (row[j] as number);
  }
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
