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

/** The change of which a block has some rows (axis 0) or columns (axis 1). */
function partOf(change: Change, axis: 0 | 1, elements: readonly number[]): Change {
  const [tensor] = change.tensors;
  const [rows, columns] = tensor!.shape as [number, number];
  const shape = axis === 0 ? [elements.length, columns] : [rows, elements.length];
  const places = placesOf(shape as [number, number], columns, axis, elements);
  const take = (whole: Float32Array, into = new Float32Array(places.length)) => {
    for (let i = 0; i < places.length; i++) into[i] = whole[places[i]!]!;
    return into;
  };
  const put = (part: Float32Array) => {
    const whole = new Float32Array(rows * columns);
    for (let i = 0; i < places.length; i++) whole[places[i]!] = part[i]!;
    return whole;
  };
  return {
    ...change,
    inserted: { ...change.inserted!, shape },
    whole: false,
    leftOut(values) {
      const taken = new Uint8Array(values.length);
      for (const place of places) taken[place] = 1;
      return values.findIndex((value, i) => value !== 0 && taken[i] === 0);
    },
    start: (weight, random) => change.start(weight, random).map((values) => put(take(values))),
    weight: (values, full, into) => take(change.weight(values, full), into as Float32Array<ArrayBuffer>),
    gradients: (values, gradient) => change.gradients(values, put(gradient)),
  };
}

/** Where each element of the part lies in the whole, row-major. */
function placesOf(
  [rows, width]: [number, number],
  columns: number,
  axis: 0 | 1,
  elements: readonly number[],
): Uint32Array {
  return Uint32Array.from({ length: rows * width }, (_, i) => {
    const [row, column] = [Math.floor(i / width), i % width];
    return axis === 0 ? elements[row]! * columns + column : row * columns + elements[column]!;
  });
}
