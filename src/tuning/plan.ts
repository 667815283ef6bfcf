import type { PackShape } from '../data/index.ts';
import type { Architecture } from '../model/index.ts';

/** How a step is computed: from spec and shapes alone, so that the same spec gives the same numbers anywhere. */
export interface TrainingPlan {
  shape: PackShape;
  /** Whether blocks are run again in the backward pass, because their residuals do not fit into the memory. */
  recompute: boolean;
}

/** Tokens of one call: large enough for full speed, small enough that cancelling waits about a second. */
const callTokens = 1024;

/**
 * @param capacity tokens of a sequence
 * @param rows of a micro-batch: no more sequences than rows are ever needed
 * @param memory bytes that residuals may take
 */
export function planTraining(
  architecture: Architecture,
  { capacity, rows, memory }: { capacity: number; rows: number; memory: number },
): TrainingPlan {
  const batch = Math.max(1, Math.min(rows, Math.floor(callTokens / capacity)));
  const widest = Object.values(architecture.block(0)).reduce(
    (sum, { shape }) => sum + (shape.length === 2 ? (shape[0] as number) : 0),
    0,
  );
  // A block keeps about the output of each of its matrix products, and attention weights of at most that size again.
  const residuals = 2 * 4 * widest * batch * capacity * architecture.depth;
  return { shape: { capacity, batch }, recompute: residuals > memory };
}
