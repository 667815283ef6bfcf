import type { QuantisedType } from './quantised.ts';

/** The element types that a checkpoint may store; GGUF's quantised ones are decoded block by block. */
export type DType =
  | 'F64'
  | 'F32'
  | 'F16'
  | 'BF16'
  | 'I64'
  | 'I32'
  | 'I16'
  | 'I8'
  | 'U8'
  | 'BOOL'
  | QuantisedType;

export interface TensorInfo {
  name: string;
  dtype: DType;
  /** Row-major, the slowest dimension first, as in the hub's layout. */
  shape: readonly number[];
}

export interface ReadOptions {
  /** First (inclusive) and last (exclusive) index along the first dimension; all when absent. */
  rows?: readonly [start: number, end: number];
  /** Filled and returned when given; its length is that of the elements read. */
  into?: Float32Array;
}

/** Tensors by name, each read from where it lies; synchronous, for the compute thread. */
export interface Checkpoint {
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** safetensors' `__metadata__`, or GGUF's key-values. */
  readonly metadata: Readonly<Record<string, unknown>>;
  /**
   * The elements as float32, row-major, decoded from the stored type.
   * @throws OffsiteError BadModel when there is no such tensor, or the file ends early
   */
  read(name: string, options?: ReadOptions): Float32Array;
  /** The stored bytes as they lie. */
  readBytes(name: string): Uint8Array;
  close(): void;
}
