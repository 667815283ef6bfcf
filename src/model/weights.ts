import type { Slots } from './family.ts';
import type { Model } from './model.ts';

/** The weights of one graph, by slot. */
export type Weights = Readonly<Record<string, Float32Array>>;

/** Which weights each position of a decoder runs. */
export interface WeightSource {
  /** How many positions there are. */
  readonly depth: number;
  /** The layer of the full model that a position runs. */
  layer(position: number): number;
  /** The weights at a position; valid until the next call. */
  block(position: number): Weights;
  head(): Weights;
  embedder(): Weights;
  /** The token table's rows, [ids, E], row-major. */
  embed(ids: Int32Array): Float32Array;
}

export interface WeightOptions {
  /** The layer that each position runs; the model's own order when absent. */
  layers?: readonly number[];
  /** Weights that stand in the place of the model's at one position: what is trained, or was. */
  replaced?: ReadonlyMap<number, Weights>;
  /** Tensors that stand in the place of the model's wherever they are used, by name. */
  overlay?: ReadonlyMap<string, Float32Array>;
  /** Bytes of decoded weights that may stay in memory; what does not fit is read again for each use. */
  memory: number;
}

/** Weights of a model on disk: kept while they fit into the budget, else streamed block after block. */
export function weightsOf(model: Model, { layers, replaced, overlay, memory }: WeightOptions): WeightSource {
  const { architecture } = model;
  const kept = new Map<string, Weights>();
  let free = memory;
  const layerOf = (position: number) => layers?.[position] ?? position;
  const read = (key: string, slots: Slots): Weights => {
    const found = kept.get(key);
    if (found !== undefined) return found;
    const weights = Object.fromEntries(
      Object.entries(slots).map(([slot, { name }]) => [slot, overlay?.get(name) ?? model.read(name)]),
    );
    const bytes = Object.values(weights).reduce((sum, values) => sum + values.byteLength, 0);
    if (bytes <= free) {
      free -= bytes;
      kept.set(key, weights);
    }
    return weights;
  };
  const rows = new Map<number, Float32Array>();
  return {
    depth: layers?.length ?? architecture.depth,
    layer: layerOf,
    block: (position) =>
      replaced?.get(position) ?? read(`block ${layerOf(position)}`, architecture.block(layerOf(position))),
    head: () => read('head', architecture.head),
    embedder: () => read('embedder', architecture.embedder?.slots ?? {}),
    embed(ids) {
      const width = architecture.embedding.shape[1] as number;
      const hidden = new Float32Array(ids.length * width);
      ids.forEach((id, i) => {
        let row = rows.get(id);
        if (row === undefined) {
          row = model.read(architecture.embedding.name, { rows: [id, id + 1] });
          rows.set(id, row);
        }
        hidden.set(row, i * width);
      });
      return hidden;
    },
  };
}
