// The full model as a teacher: its states and its loss on the rows of a step, streamed block by block.
import type { PackedBatch } from '../../data/index.ts';
import { type Decoder, score } from '../../model/index.ts';
import type { Plan } from '../plan/plan.ts';
import type { Taught } from './losses.ts';

/**
 * The layer of the full model behind whose block its states are what the emulator's are behind a position: the layers that were
 * left out until the next position are the teacher's to run.
 */
export function taughtLayer({ source }: Pick<Plan, 'source'>, position: number, depth: number): number {
  if (source.length === depth) return position;
  return (source[position + 1] ?? depth) - 1;
}

/** What the full model's states are behind a layer, of each batch; nothing above it is computed. */
export async function taughtStates(
  full: Decoder,
  batches: readonly PackedBatch[],
  layer: number,
): Promise<ReadonlyMap<PackedBatch, Pick<Taught, 'states'>>> {
  const states = new Map<PackedBatch, Float32Array>();
  for (const batch of batches) states.set(batch, await full.embed(batch));
  for (let position = 0; position <= layer; position++)
    for (const batch of batches)
      states.set(batch, (await full.forward(position, states.get(batch)!, batch)).y);
  return new Map([...states].map(([batch, states]) => [batch, { states }]));
}

/** The summed log-probability of each batch's targets. */
export async function taughtLikelihoods(
  full: Decoder,
  batches: readonly PackedBatch[],
): Promise<ReadonlyMap<PackedBatch, Pick<Taught, 'logLikelihood'>>> {
  const last = await taughtStates(full, batches, full.depth - 1);
  const found = new Map<PackedBatch, { logLikelihood: number }>();
  for (const [batch, { states }] of last) {
    const scores = await full.head(states, batch.targets, score);
    found.set(batch, { logLikelihood: scores.reduce((sum, value) => sum + value, 0) });
  }
  return found;
}
