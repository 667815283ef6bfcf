// Pooled memory for the activations that a backward pass needs.
import type { Tensor } from '../engine/index.ts';
import { product, type Value } from '../graph/index.ts';

/** What a block's forward keeps for its backward, by output name, in one piece of memory. */
export interface Residuals {
  readonly memory: Float32Array;
  readonly tensors: Readonly<Record<string, Tensor>>;
}

/** Floats between two tensors' starts are a multiple of this: a cache line. */
const alignment = 16;

/**
 * Memory for residuals, used again from step to step whatever the batch's shape: fresh pages would cost as much as the
 * products that fill them.
 */
export class ResidualPool {
  readonly #free: Float32Array[] = [];

  /** Room for float32 values, each under `saved.<name>`. */
  take(values: readonly Value[]): Residuals {
    const starts: number[] = [];
    let length = 0;
    for (const { shape } of values) {
      starts.push(length);
      length += Math.ceil(product(shape) / alignment) * alignment;
    }
    const memory = this.#memory(length);
    const tensors = values.map(({ name, shape }, i): [string, Tensor] => {
      const start = starts[i] as number;
      return [
        `saved.${name}`,
        { dtype: 'float32', shape, data: memory.subarray(start, start + product(shape)) },
      ];
    });
    return { memory, tensors: Object.fromEntries(tensors) };
  }

  release({ memory }: Residuals): void {
    this.#free.push(memory);
  }

  #memory(length: number): Float32Array {
    const free = this.#free.pop();
    // Too small: it goes, and a larger one takes its place.
    return free !== undefined && free.length >= length ? free : new Float32Array(length);
  }
}
