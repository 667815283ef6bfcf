// Which of the probe's rows are looked at, and what that costs.
import { badData } from '../../api/index.ts';
import { type Example, hasTargets, type PackedBatch, tokenCount } from '../../data/index.ts';
import { packForModel } from '../../evaluation/index.ts';
import type { Model, Slots } from '../../model/index.ts';
import { planTraining, type TrainingPlan } from '../../training/index.ts';
import { placedBlocks, trainedPosition } from '../plan/layout.ts';
import { trainedLayers } from '../plan/plan.ts';
import { lookCost, passCost, rowsFor, type Tokens } from './cost.ts';
import type { Planned } from './planned.ts';

/** Bytes of states for the backward pass, whatever memory there is: the same spec gives the same numbers anywhere. */
const mostResiduals = 2 ** 29;

export interface Rows {
  /** All have something to predict. */
  readonly looked: readonly Example[];
  /** Those that are not looked at, of which the unigram model is. */
  readonly others: readonly PackedBatch[];
  readonly training: TrainingPlan;
  /** Passes over all rows: what the full model takes, and each candidate. */
  readonly passes: { readonly full: number; of(candidate: Planned): number };
}

/**
 * Rows evenly spaced over the probe's. How many follows from all candidates, so that budgets change nothing of what is measured.
 * @throws OffsiteError BadData where there are no two rows; BadModel where one takes far more than the memory
 */
export function rowsToLook(
  model: Model,
  found: readonly Example[],
  candidates: readonly Planned[],
  memory: number,
): Rows {
  const examples = found.filter(hasTargets);
  if (examples.length < 2)
    throw badData('spec.auto: the probe set has no two rows with a token to predict; use longer rows');
  const { architecture } = model;
  const blocks = Array.from({ length: architecture.depth }, (_, layer) => architecture.block(layer));
  const training = planTraining(blocks, {
    ...{ longest: Math.max(...examples.map(tokenCount)), rows: 1, heads: architecture.widths.heads },
    ...{ hidden: architecture.hidden, memory: mostResiduals, given: memory },
  });
  const batchesOf = (rows: readonly Example[]) => packForModel(rows, architecture, { memory });
  const all = tokensIn(batchesOf(examples));
  const pass = passCost(blocks, all);
  const costs = (tokens: Tokens): Rows['passes'] => {
    const look = (blocks: readonly Slots[], lowest: number) =>
      lookCost({ blocks, lowest, head: headOf(model), recompute: training.recompute }, tokens) / pass;
    return {
      // Both looks, and four steps on half of the rows.
      full: 4 * look(blocks, 0),
      of: ({ layout, plan }) =>
        2 *
        look(
          placedBlocks(architecture, layout).map(({ slots }) => slots),
          Math.min(...trainedLayers(plan).map((layer) => trainedPosition(layout, layer))),
        ),
    };
  };
  const ofAll = costs(all);
  const whole = candidates.reduce((sum, candidate) => sum + ofAll.of(candidate), ofAll.full);
  const count = rowsFor(examples.length, whole / examples.length);
  const places = new Set(Array.from({ length: count }, (_, i) => Math.floor((i * examples.length) / count)));
  const looked = examples.filter((_, place) => places.has(place));
  const others = examples.filter((_, place) => !places.has(place));
  return {
    ...{ looked, others: batchesOf(others), training },
    passes: costs(tokensIn(batchesOf(looked))),
  };
}

const tokensIn = (batches: readonly PackedBatch[]): Tokens => ({
  tokens: batches.reduce((sum, { tokens }) => sum + tokens, 0),
  targets: batches.reduce((sum, { targets }) => sum + targets.length, 0),
});

const headOf = ({ architecture: { vocabulary, hidden } }: Model): number => vocabulary * hidden;
