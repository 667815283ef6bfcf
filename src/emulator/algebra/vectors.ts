// Vectors as rows of one array, in float64: sums over them, and orthonormal ones.
import type { Engine } from '../../engine/index.ts';
import { blockSize, firstRows, type Matrix, matrix, multiply, subtract } from './matrix.ts';

/** x . y, in four sums, whose order is fixed. */
export function dot(x: Float64Array, fromX: number, y: Float64Array, fromY: number, length: number): number {
  // One by one, not from a list: else each number of the loop is an object of its own.
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  let i = 0;
  for (; i + 4 <= length; i += 4) {
    s0 += x[fromX + i]! * y[fromY + i]!;
    s1 += x[fromX + i + 1]! * y[fromY + i + 1]!;
    s2 += x[fromX + i + 2]! * y[fromY + i + 2]!;
    s3 += x[fromX + i + 3]! * y[fromY + i + 3]!;
  }
  for (; i < length; i++) s0 += x[fromX + i]! * y[fromY + i]!;
  return s0 + s1 + (s2 + s3);
}

/** Numbers between -1 and 1 that are the same on every run: where any vector will do. */
export function arbitrary(): () => number {
  let state = 1;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
}

/**
 * Makes the rows of a block orthonormal, and orthogonal to the rows of `found`, which are orthonormal; each row by those
 * before it. A row in the span of the others (or zero, or not finite) becomes an arbitrary one that is not.
 * @param passes 2 for a result as orthonormal as float64 can say, since what is left of the first pass may be rounding
 * @returns whether every row was one of its own
 */
export async function orthonormaliseBlock(
  engine: Engine,
  block: Matrix,
  found: Matrix,
  next: () => number,
  passes = 2,
): Promise<boolean> {
  const { rows, columns: width, data } = block;
  let own = true;
  for (let pass = 0; pass < passes; pass++) {
    const lengths = Array.from({ length: rows }, (_, row) => lengthOf(data, row, width));
    if (found.rows > 0)
      subtract(block, await multiply(engine, await multiply(engine, block, found, { transB: true }), found));
    for (let row = 0; row < rows; row++) {
      if (orthonormalise(block, row, lengths[row]!)) continue;
      own = false;
      do {
        for (let i = row * width; i < (row + 1) * width; i++) data[i] = next();
        for (let other = 0; other < found.rows; other++) takeAway(data, row, found.data, other, width);
      } while (!orthonormalise(block, row, 1));
    }
  }
  return own;
}

/**
 * Makes rows orthonormal, at most as many as they are long, each by those before it; one in their span becomes an arbitrary one.
 * The rows of whole blocks have the same bits however many blocks follow.
 */
export async function orthonormaliseRows(engine: Engine, rows: Matrix): Promise<void> {
  const { rows: count, columns: width, data } = rows;
  if (count > width) throw new Error(`orthonormaliseRows: ${count} vectors of ${width} numbers`);
  const next = arbitrary();
  const found = matrix(count, width);
  for (let start = 0; start < count; start += blockSize) {
    const end = Math.min(start + blockSize, count);
    const block = matrix(end - start, width, data.subarray(start * width, end * width));
    await orthonormaliseBlock(engine, block, firstRows(found, start), next);
    found.data.set(block.data, start * width);
  }
  data.set(found.data);
}

/** Turns each row's sign so that its largest number, the first of equal ones, is positive. */
export function fixSigns({ columns: width, data }: Matrix): void {
  for (let at = 0; at < data.length; at += width) {
    let largest = at;
    for (let i = at; i < at + width; i++) if (Math.abs(data[i]!) > Math.abs(data[largest]!)) largest = i;
    if (data[largest]! < 0) for (let i = at; i < at + width; i++) data[i] = -data[i]!;
  }
}

/** Makes a row orthogonal to those before it in its block, and of length 1; false where rounding alone is left of `length`. */
function orthonormalise({ columns: width, data }: Matrix, row: number, length: number): boolean {
  if (length === 0 || !Number.isFinite(length)) return false;
  for (let other = 0; other < row; other++) takeAway(data, row, data, other, width);
  const left = lengthOf(data, row, width);
  if (!(left > width * Number.EPSILON * length)) return false;
  for (let i = row * width; i < (row + 1) * width; i++) data[i]! /= left;
  return true;
}

/** x minus its part along another row of length 1. */
function takeAway(x: Float64Array, row: number, others: Float64Array, other: number, width: number): void {
  const at = row * width;
  const from = other * width;
  const along = dot(others, from, x, at, width);
  for (let i = 0; i < width; i++) x[at + i]! -= along * others[from + i]!;
}

const lengthOf = (x: Float64Array, row: number, width: number) =>
  Math.sqrt(dot(x, row * width, x, row * width, width));
