// The weights that a decoder runs: cached or streamed from disk, some of them replaced.
import type { PackedBatch } from '../data/index.ts';
import type { Tensor } from '../engine/index.ts';
import type { Architecture, Slots } from './family.ts';
import type { Model } from './model.ts';

/** The weights of one graph, by slot. */
export type Weights = Readonly<Record<string, Float32Array>>;

/** A position of a decoder, or its head. */
export type Site = number | 'head';

/** Which weights each position of a decoder runs. */
export interface WeightSource {
  /** How many positions there are. */
  readonly depth: number;
  /** The layer of the full model that a position runs. */
  layer(position: number): number;
  /** What the graph of a position takes: the block's own weights, and those of modules inserted there. */
  slots(position: number): Slots;
  /** The weights at a position; valid until the next call. */
  block(position: number): Weights;
  /** How much each input counts in what is inserted beside a linear map, by slot, [B, T, from]; valid until the next call. */
  masks?(position: number, batch: PackedBatch): Readonly<Record<string, Tensor>>;
  /** Whether there are any at a position. */
  masked?(position: number): boolean;
  /** The weights at a site that are others from call to call; all stay as they are when absent. */
  changing?(site: Site): Weights;
  head(): Weights;
  embedder(): Weights;
  /** The token table's rows, [ids, E], row-major. */
  embed(ids: Int32Array): Float32Array;
}

/** Tensors that stand in the place of a model's, by name, as float32; a Map of arrays is one. */
export interface Overlay {
  has(name: string): boolean;
  /** Filled and returned where `into` is given and the tensor is read from a file. */
  get(name: string, into?: Float32Array): Float32Array | undefined;
  /** What it inserts into a layer, beside the layer's own weights; nothing when absent. */
  inserted?(layer: number): Slots;
}

/** What a position runs. */
export interface PlacedBlock {
  /** The layer of the full model that it stands for. */
  readonly layer: number;
  /** The same weights have the same name. */
  readonly name: string;
  readonly slots: Slots;
}

/** Layers of a model as they are, at positions of their own. */
export const exactBlocks = (architecture: Architecture, layers: readonly number[]): PlacedBlock[] =>
  layers.map((layer) => ({ layer, name: String(layer), slots: architecture.block(layer) }));

export interface WeightOptions {
  /** What each position runs; the model's own blocks in their order when absent. */
  blocks?: readonly PlacedBlock[];
  /** Tensors that stand in the place of the model's wherever they are used. */
  overlay?: Overlay;
  /** Tensors that do so at some sites only: what was trained. */
  overlays?: ReadonlyMap<Site, Overlay>;
  /** Bytes of decoded weights that may stay in memory; what does not fit is read again for each use. */
  memory: number;
}

/** Decoded rows of the embedding that are kept, in bytes. */
const embeddingMemory = 64 * 2 ** 20;

/**
 * Weights of a model on disk: kept while they fit into the budget, else streamed block after block. What is streamed is
 * read into the same memory each time: garbage would count against a pod's limit until it is collected.
 */
export function weightsOf(
  model: Model,
  { blocks = modelsOwn(model), overlay, overlays, memory }: WeightOptions,
): WeightSource {
  const { architecture } = model;
  const kept = new Map<string, Weights>();
  const shared = new SharedBuffer();
  let latest: { key: string; weights: Weights } | undefined;
  let free = memory;
  const read = (key: string, slots: Slots, over: Overlay | undefined): Weights => {
    const found = latest?.key === key ? latest.weights : kept.get(key);
    if (found !== undefined) return found;
    const sizes = Object.values(slots).map(({ shape }) => shape.reduce((a, b) => a * b, 1));
    const bytes = sizes.reduce((sum, size) => sum + size * Float32Array.BYTES_PER_ELEMENT, 0);
    const fits = bytes <= free;
    if (!fits) latest = undefined;
    const places = fits ? sizes.map((size) => new Float32Array(size)) : shared.divide(sizes);
    const weights = Object.fromEntries(
      Object.entries(slots).map(([slot, { name, untied = name }], i) => {
        const into = places[i] as Float32Array;
        return [slot, over?.get(untied, into) ?? model.read(name, { into })];
      }),
    );
    if (fits) {
      free -= bytes;
      kept.set(key, weights);
    } else latest = { key, weights };
    return weights;
  };
  const rows = new Map<number, Float32Array>();
  const slotsAt = (position: number): Slots => {
    const { layer, slots } = blocks[position]!;
    return { ...slots, ...(overlays?.get(position) ?? overlay)?.inserted?.(layer) };
  };
  return {
    depth: blocks.length,
    layer: (position) => blocks[position]!.layer,
    slots: slotsAt,
    block(position) {
      const own = overlays?.get(position);
      const key = own === undefined ? `block ${blocks[position]!.name}` : `position ${position}`;
      return read(key, slotsAt(position), own ?? overlay);
    },
    head: () => read('head', architecture.head, overlays?.get('head') ?? overlay),
    embedder: () => read('embedder', architecture.embedder?.slots ?? {}, overlay),
    embed(ids) {
      const width = architecture.embedding.shape[1] as number;
      const hidden = new Float32Array(ids.length * width);
      ids.forEach((id, i) => {
        let row = rows.get(id);
        if (row === undefined) {
          if (rows.size * width * Float32Array.BYTES_PER_ELEMENT > embeddingMemory) rows.clear();
          row = model.read(architecture.embedding.name, { rows: [id, id + 1] });
          rows.set(id, row);
        }
        hidden.set(row, i * width);
      });
      return hidden;
    },
  };
}

const modelsOwn = ({ architecture }: Model): PlacedBlock[] =>
  exactBlocks(
    architecture,
    Array.from({ length: architecture.depth }, (_, layer) => layer),
  );

/** What stands at a site instead of the source's weights, or beside them. */
export interface Replacement {
  readonly weights: Weights;
  /** Modules beside the block's own weights; `weights` has theirs too. */
  readonly inserted?: Slots;
  /** Whether `weights` has those of the modules alone, and the source's own run with them. */
  readonly beside?: boolean;
  /** Which of `weights` are others from call to call; all when absent. */
  readonly slots?: readonly string[];
  masks?(batch: PackedBatch): Readonly<Record<string, Tensor>>;
}

/** The source with other weights at some sites: what is being trained. */
export function withReplaced(source: WeightSource, replaced: ReadonlyMap<Site, Replacement>): WeightSource {
  return {
    ...source,
    slots: (position) => ({ ...source.slots(position), ...replaced.get(position)?.inserted }),
    block(position) {
      const own = replaced.get(position);
      if (own === undefined) return source.block(position);
      return own.beside ? { ...source.block(position), ...own.weights } : own.weights;
    },
    masks: (position, batch) => replaced.get(position)?.masks?.(batch) ?? {},
    masked: (position) => replaced.get(position)?.masks !== undefined,
    changing(site) {
      const { weights = {}, slots = Object.keys(weights) } = replaced.get(site) ?? {};
      return Object.fromEntries(slots.map((slot) => [slot, weights[slot]!]));
    },
    head: () => replaced.get('head')?.weights ?? source.head(),
  };
}

/** Memory that is divided anew for each block, and grows to the largest. */
class SharedBuffer {
  #buffer = new ArrayBuffer(0);

  /** Arrays of the given lengths, each from a multiple of 64 bytes on; those of the last call are no more valid. */
  divide(lengths: readonly number[]): Float32Array[] {
    let end = 0;
    const starts = lengths.map((length) => {
      const start = end;
      end += Math.ceil((length * Float32Array.BYTES_PER_ELEMENT) / 64) * 64;
      return start;
    });
    if (end > this.#buffer.byteLength) {
      this.#buffer = new ArrayBuffer(0);
      this.#buffer = new ArrayBuffer(end);
    }
    return lengths.map((length, i) => new Float32Array(this.#buffer, starts[i], length));
  }
}
