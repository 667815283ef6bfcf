// The contract of an adapter kind: which weights it changes or inserts, and how they train.
import type { PackedBatch, Random } from '../../data/index.ts';
import type { Tensor } from '../../engine/index.ts';
import type { Architecture, BlockShape, Slots } from '../../model/index.ts';
import type { LowRank } from './low-rank.ts';

/** A tensor that is trained and comes back, by its name in the adapter's file. */
export interface AdapterTensor {
  name: string;
  shape: readonly number[];
}

/** One weight that a transfer layer or the head runs because of the adapter: one that changes, or one that is inserted. */
export interface Change {
  /** Of the block or the head; for an inserted weight one that the model does not have (`model/parts/inserted.ts`). */
  slot: string;
  /** Of the weight in the plugged-in model. */
  name: string;
  tensors: readonly AdapterTensor[];
  /** Whether the tensors are the weight itself. */
  whole: boolean;
  /**
   * Set for an inserted weight: whether a coefficient scales it, as the module's output is linear in it; and its shape, where
   * that is not its tensor's.
   */
  inserted?: { scaled: boolean; shape?: readonly number[] };
  /** Of a tensor that a block takes in part: whether it takes the element at a place. */
  isTaken?(place: number): boolean;
  /** Of a tensor that a block takes in part: the first of its elements that are left out and not zero; -1 where there is none. */
  leftOut?(values: Float32Array): number;
  /** Set where the tensors are the factors A [rank, from] and B [to, rank] of a product that is added to the weight. */
  factors?: Factors;
  /** First values of the tensors; `weight` itself may be one of them. It is empty where the change is inserted. */
  start(weight: Float32Array, random: Random): Float32Array[];
  /** The weight that `values` come to: one of them, or `into` filled with another one (a new array when absent). */
  weight(values: readonly Float32Array[], full: Float32Array, into?: Float32Array): Float32Array;
  /** dL/d(values) out of dL/d(weight). */
  gradients(values: readonly Float32Array[], weight: Float32Array): Float32Array[];
}

/** How a low-rank change is made of tensors, and tensors of it. */
export interface Factors {
  readonly rank: number;
  /** scale * left right is what the tensors add to the weight, as that lies: left [rows, rank], right [rank, columns]. */
  product(values: readonly Float32Array[]): LowRank;
  readonly scale: number;
  /** The tensors with that left and right. */
  tensors(left: Float32Array, right: Float32Array): Float32Array[];
}

/** What a data owner trains on the transfer layers and sends back. */
export interface AdapterKind {
  /**
   * The changes of a layer.
   * @throws OffsiteError BadSpec naming the field that does not fit the model
   */
  changes(architecture: Architecture, layer: number): Change[];
  /**
   * The same tensors in the same order, inserted beside a layer's linear maps: how they run where the emulator's weights are not
   * the full model's own. Absent where the kind needs those.
   * @param shape of the emulator's block; the layer's own when absent
   * @throws OffsiteError BadModel where the shape does not say which heads or channels stay
   */
  beside?(architecture: Architecture, layer: number, shape?: BlockShape): Change[];
  /** The changes of the head, where it is trained beside the layers. */
  head?(architecture: Architecture): Change[];
  /** How the layers train where that is not how they run afterwards. */
  dropout?: Dropout;
  /** Files that other tools want beside the tensors, by name. */
  files(architecture: Architecture, layers: readonly number[]): Record<string, string>;
}

/** Layers that train with the adapter's tensors beside the weights, so that some of its inputs can be left out. */
export interface Dropout {
  /** The same tensors in the same order, inserted; `shape` as of `beside`. */
  changes(architecture: Architecture, layer: number, shape?: BlockShape): Change[];
  /** How much each input counts, by slot, [B, T, from]; valid until the next call. */
  masks(
    architecture: Architecture,
    layer: number,
    batch: PackedBatch,
    moment: Moment,
    shape?: BlockShape,
  ): Record<string, Tensor>;
}

/** What chance hangs on beside places. */
export interface Moment {
  /** `training.seed`. */
  seed: number;
  /** Of the optimiser, counted from 0. */
  step: number;
  /** Whether a row is told from others by what it says, not by its number: where rows are hidden, none may decide another's. */
  byContent?: boolean;
}

/** The slots of what changes insert. */
export const insertedBy = (changes: readonly Change[]): Slots =>
  Object.fromEntries(
    changes.flatMap(({ slot, inserted, tensors: [tensor] }) =>
      inserted ? [[slot, { ...tensor!, ...(inserted.shape && { shape: inserted.shape }) }]] : [],
    ),
  );
