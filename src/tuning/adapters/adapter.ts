import type { Random } from '../../data/index.ts';
import type { Architecture } from '../../model/index.ts';

/** A tensor that is trained and comes back, by its name in the adapter's file. */
export interface AdapterTensor {
  name: string;
  shape: readonly number[];
}

/** How one weight of a transfer layer changes: what is trained for it, and what the layer runs then. */
export interface Change {
  /** Of the block. */
  slot: string;
  /** Of the weight in the full model. */
  name: string;
  tensors: readonly AdapterTensor[];
  /** Whether the tensors are the weight itself. */
  whole: boolean;
  /** First values of the tensors; `weight` itself may be one of them. */
  start(weight: Float32Array, random: Random): Float32Array[];
  /** The weight that `values` come to: one of them, or `into` filled with another one (a new array when absent). */
  weight(values: readonly Float32Array[], full: Float32Array, into?: Float32Array): Float32Array;
  /** dL/d(values) out of dL/d(weight). */
  gradients(values: readonly Float32Array[], weight: Float32Array): Float32Array[];
}

/** What a data owner trains on the transfer layers and sends back. */
export interface AdapterKind {
  /**
   * The changes of a layer.
   * @throws OffsiteError BadSpec naming the field that does not fit the model
   */
  changes(architecture: Architecture, layer: number): Change[];
  /** Files that other tools want beside the tensors, by name. */
  files(architecture: Architecture, layers: readonly number[]): Record<string, string>;
}
