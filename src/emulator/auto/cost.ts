// What looking at candidates costs, counted in forward passes of the full model's blocks over the probe's rows.
import type { Slots } from '../../model/index.ts';

/** Tokens of some rows, and how many of them are predicted. */
export interface Tokens {
  readonly tokens: number;
  readonly targets: number;
}

export interface LookSize {
  /** What each position runs. */
  readonly blocks: readonly Slots[];
  /** The lowest position that trains: nothing is run backward below it. */
  readonly lowest: number;
  /** Parameters of the head. */
  readonly head: number;
  /** Whether blocks are run again in the backward pass. */
  readonly recompute: boolean;
}

/** Multiplications by weights of one look: forward, backward without the weights' own gradients, and the head both ways. */
export function lookCost({ blocks, lowest, head, recompute }: LookSize, { tokens, targets }: Tokens): number {
  const forward = blocks.reduce((sum, slots) => sum + weightsOf(slots), 0);
  const backward = blocks.slice(lowest).reduce((sum, slots) => sum + weightsOf(slots), 0);
  return tokens * (forward + backward * (recompute ? 2 : 1)) + 2 * targets * head;
}

/** Multiplications by weights of a forward pass through blocks. */
export const passCost = (blocks: readonly Slots[], { tokens }: Pick<Tokens, 'tokens'>): number =>
  tokens * blocks.reduce((sum, slots) => sum + weightsOf(slots), 0);

const weightsOf = (slots: Slots): number =>
  Object.values(slots).reduce(
    (sum, { shape }) => sum + (shape.length === 2 ? (shape[0] as number) * (shape[1] as number) : 0),
    0,
  );

/** Passes that the looks may take; with the probe's own, and what the derivation of factors takes, it is at most three. */
const mostPasses = 1.5;
/** A probe of fewer rows counts as so many: below, looks say too little, and cost little whatever they are. */
const leastRows = 128;
const mostLooked = 64;

/**
 * How many of the probe's rows are looked at: as many as the passes allow, the other half at least is left for the unigram model.
 * @param perRow passes over all rows that looks at one row take
 */
export function rowsFor(samples: number, perRow: number): number {
  const passes = (mostPasses * Math.max(samples, leastRows)) / samples;
  return Math.max(1, Math.min(mostLooked, Math.floor(samples / 2), Math.floor(passes / perRow)));
}
