// Linear maps in 8 or 4 bits a weight: codes, and what turns them into numbers again.

export interface Quantisation {
  readonly bits: 4 | 8;
  /** How many neighbouring inputs of an output share a scale; the last group of a row may be shorter. */
  readonly group: number;
}

/** A map [to, from] as codes. */
export interface QuantisedMap {
  /** [to, ceil(from bits / 8)]; of 4 bits two a byte, the first in the lower half, each row beginning a byte. */
  readonly codes: Uint8Array;
  /** [to, ceil(from / group)]: the step between codes. */
  readonly scales: Float32Array;
  /** [to, ceil(from / group)]: what code 0 stands for, the group's least weight. */
  readonly minima: Float32Array;
}

/** The shapes of a quantised map's three parts. */
export function quantisedShapes(
  { to, from }: { readonly to: number; readonly from: number },
  { bits, group }: Quantisation,
): Record<keyof QuantisedMap, readonly [number, number]> {
  const groups = [to, Math.ceil(from / group)] as const;
  return { codes: [to, Math.ceil((from * bits) / 8)], scales: groups, minima: groups };
}

/**
 * Each group of a row, uniformly between its least and its largest weight: scale = (max - min) / (2^bits - 1), rounded to float32,
 * code = round((w - min) / scale), halves to even. A group of equal weights has scale 0 and comes back exactly.
 * @param weights [to, from], finite
 */
export function encodeQuantised(
  weights: Float32Array,
  size: { readonly to: number; readonly from: number },
  { bits, group }: Quantisation,
): QuantisedMap {
  const { to, from } = size;
  const shapes = quantisedShapes(size, { bits, group });
  const codes = new Uint8Array(to * shapes.codes[1]);
  const scales = new Float32Array(to * shapes.scales[1]);
  const minima = new Float32Array(scales.length);
  const most = 2 ** bits - 1;
  let at = 0;
  for (let row = 0; row < to; row++)
    for (let start = 0; start < from; start += group, at++) {
      const end = Math.min(start + group, from);
      let [least, largest] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
      for (let i = start; i < end; i++) {
        const weight = weights[row * from + i]!;
        least = Math.min(least, weight);
        largest = Math.max(largest, weight);
      }
      minima[at] = least;
      scales[at] = (largest - least) / most;
      const scale = scales[at]!;
      for (let i = start; i < end; i++) {
        const code = scale === 0 ? 0 : Math.min(most, halfToEven((weights[row * from + i]! - least) / scale));
        write(codes, row * shapes.codes[1], i, bits, code);
      }
    }
  return { codes, scales, minima };
}

/**
 * The weights that codes stand for, min + code scale, as float32, [to, from].
 * @throws RangeError where a part has another length than its shape, or a number that is not finite comes of it
 */
export function decodeQuantised(
  { codes, scales, minima }: QuantisedMap,
  size: { readonly to: number; readonly from: number },
  { bits, group }: Quantisation,
  into: Float32Array = new Float32Array(size.to * size.from),
): Float32Array {
  const { to, from } = size;
  const shapes = quantisedShapes(size, { bits, group });
  for (const [part, { length }] of Object.entries({ codes, scales, minima })) {
    const [rows, columns] = shapes[part as keyof QuantisedMap];
    if (length !== rows * columns)
      throw new RangeError(`${part}: ${length} numbers, not [${rows}, ${columns}]`);
  }
  if (into.length !== to * from) throw new RangeError(`${into.length} places for [${to}, ${from}]`);
  const groups = shapes.scales[1];
  const most = 2 ** bits - 1;
  for (let at = 0; at < scales.length; at++)
    if (!Number.isFinite(Math.fround(minima[at]! + most * scales[at]!)) || !Number.isFinite(minima[at]!))
      throw new RangeError(`scales and minima: group ${at} is not finite`);
  for (let row = 0; row < to; row++)
    for (let i = 0; i < from; i++) {
      const at = row * groups + Math.floor(i / group);
      into[row * from + i] = minima[at]! + read(codes, row * shapes.codes[1], i, bits) * scales[at]!;
    }
  return into;
}

function write(codes: Uint8Array, row: number, i: number, bits: 4 | 8, code: number): void {
  if (bits === 8) codes[row + i] = code;
  else codes[row + (i >> 1)]! |= code << (4 * (i & 1));
}

const read = (codes: Uint8Array, row: number, i: number, bits: 4 | 8): number =>
  bits === 8 ? codes[row + i]! : (codes[row + (i >> 1)]! >> (4 * (i & 1))) & 15;

function halfToEven(value: number): number {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 === 1 ? rounded - 1 : rounded;
}
