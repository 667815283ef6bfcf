// The full model as a teacher: its states and its loss on the rows of a step, streamed block by block.
import type { PackedBatch } from '../../data/index.ts';
import { type Decoder, type States, score } from '../../model/index.ts';
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
  const found = new Map<PackedBatch, Pick<Taught, 'states'>>();
  for (const [batch, states] of await statesBehind(full, batches, layer)) {
    found.set(batch, { states: await full.read(states) });
    full.free(states);
  }
  return found;
}

/** The summed log-probability of each batch's targets. */
export async function taughtLikelihoods(
  full: Decoder,
  batches: readonly PackedBatch[],
): Promise<ReadonlyMap<PackedBatch, Pick<Taught, 'logLikelihood'>>> {
  const found = new Map<PackedBatch, { logLikelihood: number }>();
  for (const [batch, states] of await statesBehind(full, batches, full.depth - 1)) {
    const scores = await full.head(states, batch.targets, score);
    full.free(states);
    found.set(batch, { logLikelihood: scores.reduce((sum, value) => sum + value, 0) });
  }
  return found;
}

async function statesBehind(
  full: Decoder,
  batches: readonly PackedBatch[],
  layer: number,
): Promise<Map<PackedBatch, States>> {
  const states = new Map<PackedBatch, States>();
  for (const batch of batches) states.set(batch, await full.embed(batch));
  for (const span of full.spans([layer]).filter(([first]) => first! <= layer))
    for (const batch of batches) {
      const x = states.get(batch)!;
      states.set(batch, await full.forward(span, x, batch));
      full.free(x);
    }
  for (const batch of batches) full.forget(batch);
  return states;
}
