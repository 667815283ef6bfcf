// ALiBi's position biases as an input of the graph.
import type { PackedBatch } from '../../data/index.ts';
import type { Tensor } from '../../engine/index.ts';

/**
 * Linear biases in place of positions (ALiBi, arXiv 2108.12409): a head's slope times the key's place in its row, which
 * softmax cannot tell from the distance. [B, heads, 1, 1, T]
 */
export function alibiSide({ size, length, positions }: PackedBatch, heads: number): Tensor {
  const data = new Float32Array(size * heads * length);
  powers(heads).forEach((slope, head) => {
    for (let sequence = 0; sequence < size; sequence++)
      for (let t = 0; t < length; t++)
        data[(sequence * heads + head) * length + t] = slope * positions[sequence * length + t]!;
  });
  return { dtype: 'float32', shape: [size, heads, 1, 1, length], data };
}

/** The same for some heads, by the slopes of theirs: what those are multiplied by. [B, 1, 1, 1, T] */
export function alibiPlaces({ size, length, positions }: PackedBatch): Tensor {
  return { dtype: 'float32', shape: [size, 1, 1, 1, length], data: Float32Array.from(positions) };
}

/** The slope of each of a model's heads. */
export const alibiSlopes = (heads: number): Float32Array => Float32Array.from(powers(heads));

/** Powers of 2^(-8/n) for the n heads of a power of two; the heads beyond it take every other slope of the next one. */
function powers(heads: number): number[] {
  const whole = 2 ** Math.floor(Math.log2(heads));
  const power = (count: number, exponent: number) => 2 ** ((-8 / count) * exponent);
  return Array.from({ length: heads }, (_, head) =>
    head < whole ? power(whole, head + 1) : power(2 * whole, 2 * (head - whole) + 1),
  );
}
