// The contract between a model family and everything that runs, trains or stores its models.
import type { z } from 'zod';
import type { Checkpoint } from '../checkpoint/index.ts';
import type { PackedBatch } from '../data/index.ts';
import type { Tensor } from '../engine/index.ts';
import type { GraphBuilder, Value } from '../graph/index.ts';
import type { Quantisation } from './quantised.ts';
import type { Cuts, Widths } from './widths.ts';

/** A weight that a graph takes: its tensor's name in the hub's layout, and its shape. */
export interface Slot {
  name: string;
  shape: readonly number[];
  /** A linear map that is stored [from, to]; all others are [to, from]. */
  transposed?: true;
  /** The name that the tensor gets when it is no longer tied to the one named above. */
  untied?: string;
  /** A linear map that is stored as codes, in parts beside its name (`coded.ts`); it is read as any other. */
  quantised?: Quantisation;
}
export type Slots = Readonly<Record<string, Slot>>;

/** One model's shape, read from its configuration: all that the rest needs to know of a family. */
export interface Architecture {
  readonly family: string;
  /** Decoder blocks (L). */
  readonly depth: number;
  /** Width of the hidden state (D). */
  readonly hidden: number;
  readonly vocabulary: number;
  /** The longest row that there are positions for; any length when absent. */
  readonly positions?: number;
  /** The token table, [V, E]. */
  readonly embedding: Slot;
  /** How token rows become the first block's states; absent where they are the states already. */
  readonly embedder?: Embedder;
  /** The final norm and, in the slot `head`, the head; a tied one names the embedding. */
  readonly head: Slots;
  /** What the checkpoint leaves out before its tensors' names in transformers: `transformer.`, say; nothing when absent. */
  readonly omitted?: string;
  /** What the model's own blocks have of heads and channels. */
  readonly widths: Widths;
  /** Where heads and channels lie in a block's tensors: what a narrower block leaves out. */
  readonly cuts: Cuts;
  /** Whether attention by tiles holds no scores of each head: they have no cap, and nothing is added to them head by head. */
  readonly isTiled?: boolean;
  /** What a narrower block has beside the layer's own tensors to tell its heads by, of all heads; by slot. */
  readonly marks?: Readonly<Record<string, Float32Array>>;
  /**
   * The weights of one block, layers counted from 0; `output` and `down` are the maps whose outputs join the hidden states.
   * @param widths of a narrower block: fewer of what they name
   */
  block(layer: number, widths?: Partial<Widths>): Slots;
  /** Layers of one kind take the same sides ('full', 'sliding'); all are of one kind when absent. Every kind has the same graph, and so sides of the same shapes. */
  kind?(layer: number): string;
  /** What a block takes beside the hidden state and its weights: masks, positions, tables; by input name. */
  side(batch: PackedBatch, kind: string): Record<string, Tensor>;
  /** What of a row's length a token is computed by: branches of one value may share a trunk. Nothing is, when absent. */
  lengthClass?(length: number): string;
  /** Adds a block: hidden states [B, T, D] in, [B, T, D] out. Its heads and channels are as many as its weights have. */
  buildBlock(context: BlockContext, x: Value): Value;
  /** Adds the final norm and the head: [n, D] in, logits [n, V] out. */
  buildHead(g: GraphBuilder, x: Value, w: Readonly<Record<string, Value>>): Value;
}

/** What a block is built of. */
export interface BlockContext {
  readonly g: GraphBuilder;
  /** What `side` gives, by input name. */
  readonly side: Readonly<Record<string, Value>>;
  /** The weights by slot, and those of what an adapter has inserted. */
  readonly w: Readonly<Record<string, Value>>;
  /** Bytes of a sequence's attention scores from which none are to be in memory, at the price of a graph without gradient; they always may when absent. */
  readonly mostScores?: number | undefined;
}

/** Position tables, projections, norms and scales between token rows and the first block. */
export interface Embedder {
  readonly slots: Slots;
  /** Token rows [B, T, E] and each token's place in its row, int64 [B, T], to states [B, T, D]. */
  build(g: GraphBuilder, rows: Value, positions: Value, w: Readonly<Record<string, Value>>): Value;
}

/** How a family's GGUF files map to the hub's layout. */
export interface GgufMapping {
  /** `general.architecture`. */
  architecture: string;
  /** The config.json that the file's metadata and tensors amount to. */
  config(file: Pick<Checkpoint, 'metadata' | 'tensors' | 'read'>): Record<string, unknown>;
  /** The hub's name of a GGUF tensor, or undefined for one that the hub's layout does not hold. */
  hubName(name: string): string | undefined;
  /** Heads whose rows are interleaved for rotary embedding in GGUF and are to be put back; undefined for other tensors. */
  rotaryHeads(name: string, config: Readonly<Record<string, unknown>>): number | undefined;
}

/** A family of decoder-only models; one short file each in families/. */
export interface Family {
  readonly name: string;
  /** The names in config.json's `architectures`. */
  readonly architectures: readonly string[];
  /** config.json's `model_type`, by which transformers chooses its configuration class. */
  readonly modelType: string;
  /** The settings that are read of config.json, with the defaults of that class. */
  readonly settings: z.ZodObject;
  /** Other names of settings, and the family's own. */
  readonly aliases?: Readonly<Record<string, string>>;
  /** The settings of that class, read here or not, that it refuses as a whole number: 30.0 is one to it, and 30 is none. */
  readonly floats: readonly string[];
  /**
   * @param has whether the checkpoint holds a tensor: some are published with and without their outer module's name
   * @throws OffsiteError BadModel naming the field of config.json
   */
  parse(config: unknown, has: (name: string) => boolean): Architecture;
  readonly gguf?: GgufMapping;
}
