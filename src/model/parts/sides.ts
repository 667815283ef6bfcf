// What blocks take from the batch beside hidden states: attention masks and rotary tables.
import { attentionMask, type PackedBatch } from '../../data/index.ts';
import type { Tensor } from '../../engine/index.ts';
import { type RopeConfig, ropeTables } from '../rope.ts';

/** The mask that keeps rows and branches apart, as attention adds it: [B, 1, 1, T, T]. */
export function maskSide(batch: PackedBatch, window?: number): Tensor {
  const { size, length } = batch;
  return { dtype: 'float32', shape: [size, 1, 1, length, length], data: attentionMask(batch, window) };
}

/** Each token's place in its row, and the angles' cos and sin by place, [T, rotated / 2]. */
export function rotarySides(
  batch: PackedBatch,
  rope: RopeConfig,
): Record<'positions' | 'cos' | 'sin', Tensor> {
  const { size, length, positions } = batch;
  const longest = positions.reduce((most, position) => Math.max(most, position + 1), 1);
  const { cos, sin } = ropeTables(rope, length, longest);
  const table = [length, cos.length / length];
  return {
    positions: { dtype: 'int64', shape: [size, length], data: BigInt64Array.from(positions, BigInt) },
    cos: { dtype: 'float32', shape: table, data: cos },
    sin: { dtype: 'float32', shape: table, data: sin },
  };
}
