// Sums over vectors that lie in rows of one array, in float64, and orthonormal sets of them.

/** x . y, in four sums, whose order is fixed. */
export function dot(x: Float64Array, fromX: number, y: Float64Array, fromY: number, length: number): number {
  let [s0, s1, s2, s3] = [0, 0, 0, 0];
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

/** y += factor x. */
export function add(
  y: Float64Array,
  fromY: number,
  factor: number,
  x: Float64Array,
  fromX: number,
  length: number,
): void {
  for (let i = 0; i < length; i++) y[fromY + i]! += factor * x[fromX + i]!;
}

/** Float64Array between -1 and 1 that are the same on every run: where any vector will do. */
export function arbitrary(): () => number {
  let state = 1;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
}

/**
 * Makes a row orthogonal to all before it, which are orthonormal, and of length 1.
 * @param passes 2 for a result as orthonormal as float64 can say, since what is left of the first pass may be rounding
 * @returns whether anything is left; where the row was in the others' span it has no meaning afterwards
 */
export function orthonormalise(rows: Float64Array, row: number, width: number, passes = 2): boolean {
  const at = row * width;
  const before = Math.sqrt(dot(rows, at, rows, at, width));
  if (before === 0 || !Number.isFinite(before)) return false;
  for (let pass = 0; pass < passes; pass++)
    for (let other = 0; other < row; other++) {
      const from = other * width;
      add(rows, at, -dot(rows, from, rows, at, width), rows, from, width);
    }
  const after = Math.sqrt(dot(rows, at, rows, at, width));
  // What is left is rounding then, also for the second round.
  if (after <= width * Number.EPSILON * before) return false;
  for (let i = at; i < at + width; i++) rows[i]! /= after;
  return true;
}

/** Makes rows orthonormal, each by those before it; one that is in their span becomes an arbitrary one that is not. */
export function orthonormaliseAll(rows: Float64Array, count: number, width: number): void {
  if (count > width) throw new Error(`orthonormaliseAll: ${count} vectors of ${width} numbers`);
  const next = arbitrary();
  for (let row = 0; row < count; row++)
    while (!orthonormalise(rows, row, width)) for (let i = 0; i < width; i++) rows[row * width + i] = next();
}

/** Turns each row's sign so that its largest number, the first of equal ones, is positive. */
export function fixSigns(rows: Float64Array, count: number, width: number): void {
  for (let at = 0; at < count * width; at += width) {
    let largest = at;
    for (let i = at; i < at + width; i++) if (Math.abs(rows[i]!) > Math.abs(rows[largest]!)) largest = i;
    if (rows[largest]! < 0) for (let i = at; i < at + width; i++) rows[i] = -rows[i]!;
  }
}
