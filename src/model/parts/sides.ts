// What blocks take from the batch beside hidden states: attention masks and rotary tables.
import { attentionMask, type PackedBatch } from '../../data/index.ts';
import type { Tensor } from '../../engine/index.ts';
import { followsLength, type RopeConfig, ropeTables } from '../rope.ts';

/** The mask that keeps rows and branches apart, as attention adds it: [B, 1, 1, T, T]. */
export function maskSide(batch: PackedBatch, window?: number): Tensor {
  const { size, length } = batch;
  return { dtype: 'float32', shape: [size, 1, 1, length, length], data: attentionMask(batch, window) };
}

/**
 * Where each token's angles stand in the tables of cos and sin, [places, rotated / 2].
 * @param all the angles of every kind of layer that the model has: where one's follow a row's length, the tables of all have
 * one form, since all kinds have one graph
 */
export function rotarySides(
  batch: PackedBatch,
  rope: RopeConfig,
  all: readonly RopeConfig[] = [rope],
): Record<'positions' | 'cos' | 'sin', Tensor> {
  const { size, length } = batch;
  const { places, cos, sin } = all.some(followsLength)
    ? tablesOfTokens(batch, rope)
    : tablesOfPlaces(batch, rope);
  const table = [cos.length / (rope.size / 2), rope.size / 2];
  return {
    positions: { dtype: 'int64', shape: [size, length], data: BigInt64Array.from(places, BigInt) },
    cos: { dtype: 'float32', shape: table, data: cos },
    sin: { dtype: 'float32', shape: table, data: sin },
  };
}

interface Tables {
  readonly places: Int32Array;
  readonly cos: Float32Array;
  readonly sin: Float32Array;
}

/** One table for all rows: an angle follows from the place in the row alone. */
const tablesOfPlaces = ({ length, positions }: PackedBatch, rope: RopeConfig): Tables => ({
  places: positions,
  ...ropeTables(rope, length, 1),
});

/** A line of the tables for each token: angles follow from the length of its own row, whatever rows are packed beside it. */
function tablesOfTokens({ rows, positions }: PackedBatch, rope: RopeConfig): Tables {
  const lengths = new Map<number, number>();
  rows.forEach((row, at) => {
    lengths.set(row, Math.max(lengths.get(row) ?? 1, positions[at]! + 1));
  });
  const tables = new Map(
    [...new Set(lengths.values())].map((longest) => [longest, ropeTables(rope, longest, longest)]),
  );
  const half = rope.size / 2;
  const [cos, sin] = [new Float32Array(rows.length * half), new Float32Array(rows.length * half)];
  rows.forEach((row, at) => {
    const own = tables.get(lengths.get(row)!)!;
    const [from, to] = [positions[at]! * half, (positions[at]! + 1) * half];
    cos.set(own.cos.subarray(from, to), at * half);
    sin.set(own.sin.subarray(from, to), at * half);
  });
  return { places: rows.map((_, at) => at), cos, sin };
}
