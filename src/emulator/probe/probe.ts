// The forward pass over the probe set, of which only pooled hidden states are kept.
import type { Shard } from '../../api/index.ts';
import type { PackedBatch } from '../../data/index.ts';
import { streamBlocks } from '../../evaluation/index.ts';
import type { Decoder } from '../../model/index.ts';
import { type Emit, progressOf } from '../../progress/index.ts';
import { type PoolingOptions, poolRows } from './pooling.ts';
import type { PooledRows } from './states.ts';

export interface ProbeOptions extends PoolingOptions {
  /** Bytes that the batches in flight may take. */
  readonly memory: number;
  /** Which share of the batches: every `count`-th from `index` on; all when absent. */
  readonly shard?: Shard | undefined;
  readonly emit: Emit;
}

/**
 * Runs packed rows through every block of the full model and pools each block's output, before the final norm.
 * @throws OffsiteError Cancelled between two blocks
 */
export async function probe(
  decoder: Decoder,
  batches: readonly PackedBatch[],
  { memory, shard = { index: 0, count: 1 }, emit, ...pooling }: ProbeOptions,
): Promise<PooledRows> {
  const share = batches.filter((_, i) => i % shard.count === shard.index);
  const rows = rowsOf(share);
  const place = new Map(rows.map((row, i) => [row, i]));
  const { depth } = decoder;
  const width = decoder.config.hidden;
  const layers = Array.from({ length: depth }, () => new Float32Array(rows.length * width));
  if (share.length > 0)
    await streamBlocks(decoder, share, {
      memory,
      eachBlock: (layer, batch, hidden) => {
        for (const [row, vector] of poolRows(hidden, width, batch.rows, pooling))
          layers[layer]!.set(vector, place.get(row)! * width);
      },
      progress: progressOf('probe', share.length * depth, emit),
    });
  return { rows, width, layers };
}

function rowsOf(batches: readonly PackedBatch[]): number[] {
  const rows = new Set<number>();
  for (const batch of batches) for (const row of batch.rows) if (row >= 0) rows.add(row);
  return [...rows].sort((a, b) => a - b);
}
