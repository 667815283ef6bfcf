// The forward pass over the probe set, of which only pooled hidden states are kept.
import type { Shard } from '../../api/index.ts';
import type { PackedBatch } from '../../data/index.ts';
import { type Passage, streamBlocks } from '../../evaluation/index.ts';
import type { Decoder } from '../../model/index.ts';
import { isSum, type PoolingOptions, poolingWeights, poolRows, rowsIn } from './pooling.ts';
import type { PooledRows } from './states.ts';

export interface ProbeOptions extends PoolingOptions {
  /** Bytes that the batches in flight may take. */
  readonly memory: number;
  /** Told of every block done; there are batches x positions of them. */
  readonly progress: (blocks: number) => void;
  /** What is observed on the way; nothing when absent. */
  readonly passage?: Passage | undefined;
}

/** The share of a shard: every `count`-th batch from `index` on. */
export const shareOf = (batches: readonly PackedBatch[], { index, count }: Shard): PackedBatch[] =>
  batches.filter((_, i) => i % count === index);

/**
 * Runs packed rows through every block of the full model and pools each block's output, before the final norm: on a device, where
 * pooling is a sum, in the graph, so that only vectors come home; in float64 on the host else.
 * @throws OffsiteError Cancelled between two blocks
 */
export async function probe(
  decoder: Decoder,
  batches: readonly PackedBatch[],
  { memory, progress, passage, ...pooling }: ProbeOptions,
): Promise<PooledRows> {
  const rows = rowsOf(batches);
  const place = new Map(rows.map((row, i) => [row, i]));
  const { depth } = decoder;
  const width = decoder.config.hidden;
  const layers = Array.from({ length: depth }, () => new Float32Array(rows.length * width));
  const put = (layer: number, row: number, vector: Float32Array) =>
    layers[layer]!.set(vector, place.get(row)! * width);
  const inPlace = decoder.sumsInPlace && isSum(pooling.pooling) && passage === undefined;
  await streamBlocks(decoder, batches, {
    memory,
    ...(inPlace
      ? {
          sums: {
            weights: (batch) => poolingWeights(batch.rows, pooling),
            take(layer, batch, sums) {
              for (const [i, row] of rowsIn(batch.rows).entries())
                put(layer, row, sums.subarray(i * width, (i + 1) * width));
            },
          },
        }
      : {
          eachBlock(layer, batch, hidden) {
            for (const [row, vector] of poolRows(hidden, width, batch.rows, pooling)) put(layer, row, vector);
          },
        }),
    progress,
    passage,
  });
  return { rows, width, layers };
}

function rowsOf(batches: readonly PackedBatch[]): number[] {
  const rows = new Set(batches.flatMap((batch) => rowsIn(batch.rows)));
  return [...rows].sort((a, b) => a - b);
}
