// LoRA's factors beside the maps of a block with fewer heads and channels: the part of them that meets what stays.
import type { Staying } from '../../model/index.ts';
import type { Change } from './adapter.ts';

/**
 * The factors A [rank, from] and B [to, rank] beside a narrower map, which takes a part of A's columns or of B's rows. What it
 * does not take is zero and stays so: in the whole map nothing of what the emulator lacks is changed (LoRAM's recovery, arXiv
 * 2502.13533).
 * @param staying of the map; undefined where it is whole
 */
export function inNarrower(
  [a, b]: [a: Change, b: Change],
  staying: Staying | undefined,
): [a: Change, b: Change] {
  if (staying === undefined) return [a, b];
  const { side, elements } = staying;
  return side === 'from' ? [partOf(a, 1, elements), b] : [a, partOf(b, 0, elements)];
}

/** The change of which a block has some rows (axis 0) or columns (axis 1). Nothing is made of its size before its values are there. */
function partOf(change: Change, axis: 0 | 1, elements: readonly number[]): Change {
  const [tensor] = change.tensors;
  const [rows, columns] = tensor!.shape as [number, number];
  const shape = axis === 0 ? [elements.length, columns] : [rows, elements.length];
  const take = (whole: Float32Array, into = new Float32Array(shape[0]! * shape[1]!)) => {
    if (axis === 0)
      for (const [i, row] of elements.entries()) into.set(rowOf(whole, row, columns), i * columns);
    else
      for (let row = 0, at = 0; row < rows; row++)
        for (const column of elements) into[at++] = whole[row * columns + column]!;
    return into;
  };
  const put = (part: Float32Array) => {
    const whole = new Float32Array(rows * columns);
    if (axis === 0)
      for (const [i, row] of elements.entries()) whole.set(rowOf(part, i, columns), row * columns);
    else
      for (let row = 0, at = 0; row < rows; row++)
        for (const column of elements) whole[row * columns + column] = part[at++]!;
    return whole;
  };
  const stays = new Set(elements);
  const isTaken = (place: number) => stays.has(axis === 0 ? Math.floor(place / columns) : place % columns);
  return {
    ...change,
    inserted: { ...change.inserted!, shape },
    whole: false,
    isTaken,
    leftOut: (values) => values.findIndex((value, place) => value !== 0 && !isTaken(place)),
    start: (weight, random) => change.start(weight, random).map((values) => put(take(values))),
    weight: (values, full, into) => take(change.weight(values, full), into as Float32Array<ArrayBuffer>),
    gradients: (values, gradient) => change.gradients(values, put(gradient)),
  };
}

const rowOf = (matrix: Float32Array, row: number, columns: number) =>
  matrix.subarray(row * columns, (row + 1) * columns);
