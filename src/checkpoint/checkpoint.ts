// The interface of a checkpoint: named tensors with types and shapes, each read on its own.
import type { QuantisedType } from './quantised.ts';

/** What the safetensors format has a name for; weights are read in F64, F32, F16 and BF16, the others only kept. */
export type StoredDType =
  | 'F64'
  | 'F32'
  | 'F16'
  | 'BF16'
  | 'I64'
  | 'I32'
  | 'I16'
  | 'I8'
  | 'U64'
  | 'U32'
  | 'U16'
  | 'U8'
  | 'BOOL'
  | 'C64'
  | 'F8_E4M3'
  | 'F8_E5M2'
  | 'F8_E4M3FNUZ'
  | 'F8_E5M2FNUZ'
  | 'F8_E8M0'
  | 'F6_E2M3'
  | 'F6_E3M2'
  | 'F4';

/** The element types that a checkpoint may store; GGUF's quantised ones are decoded block by block. */
export type DType = StoredDType | QuantisedType;

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
