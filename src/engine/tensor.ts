// Tensors: on the host, and where a provider leaves them.
import type { Half } from '../graph/index.ts';

/** A tensor wherever it lies; only the engine that gave it knows where. */
export interface Held {
  readonly dtype: 'float32' | 'float64' | 'int64' | 'int32' | Half;
  readonly shape: readonly number[];
}

/** A tensor of the host; `data` has product(shape) elements, row-major; halves by their bits. */
export interface Tensor extends Held {
  readonly data: Float32Array | Float64Array | BigInt64Array | Int32Array | Uint16Array;
}

export const isOnHost = (tensor: Held): tensor is Tensor => 'data' in tensor;
