// Shape arithmetic: broadcasting, matrix products and reductions.

export type Shape = readonly number[];

/** The number of elements. */
export const product = (shape: Shape): number => shape.reduce((a, b) => a * b, 1);

/** NumPy's broadcasting of two shapes. @throws Error naming both where they do not broadcast */
export function broadcast(a: Shape, b: Shape): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const x = a[axis - rank + a.length] ?? 1;
    const y = b[axis - rank + b.length] ?? 1;
    if (x !== y && x !== 1 && y !== 1) throw new Error(`shapes [${a}] and [${b}] do not broadcast`);
    return x === 1 ? y : x;
  });
}

/** The shape of a matrix product over the last two dimensions. */
export function matmulShape(a: Shape, b: Shape, transA: boolean, transB: boolean): number[] {
  const [rows, inner] = lastTwo(a, transA);
  const [innerB, columns] = lastTwo(b, transB);
  if (inner !== innerB) {
    const swapped = (is: boolean) => (is ? ' transposed' : '');
    throw new Error(`matmul: [${a}]${swapped(transA)} and [${b}]${swapped(transB)} do not fit`);
  }
  return [...broadcast(a.slice(0, -2), b.slice(0, -2)), rows, columns];
}

/** The shape after a reduction over some axes. */
export function reducedShape(shape: Shape, axes: readonly number[], keepDims: boolean): number[] {
  for (const axis of axes) lengthAt(shape, axis);
  return keepDims
    ? shape.map((length, axis) => (axes.includes(axis) ? 1 : length))
    : shape.filter((_, axis) => !axes.includes(axis));
}

/** The length along an axis, counted from 0. @throws Error where the shape has no such axis */
export function lengthAt(shape: Shape, axis: number): number {
  const length = shape[axis];
  if (length === undefined) throw new Error(`[${shape}] has no axis ${axis}`);
  return length;
}

export const equalShapes = (a: Shape, b: Shape): boolean =>
  a.length === b.length && a.every((length, axis) => length === b[axis]);

function lastTwo(shape: Shape, swapped: boolean): [number, number] {
  const [rows, columns] = shape.slice(-2);
  if (rows === undefined || columns === undefined)
    throw new Error(`matmul: [${shape}] has no two dimensions`);
  return swapped ? [columns, rows] : [rows, columns];
}
