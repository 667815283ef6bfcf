// Training objectives: a loss and its derivative.
import type { PackedBatch, Targets, TokenizeOptions } from '../data/index.ts';

/** What training lowers: a loss of the targets' log-probabilities, a sum over all batches of the optimiser's step. */
export interface Objective {
  /** Which of a row's answers become tokens. */
  readonly mode: TokenizeOptions['mode'];
  /**
   * dL/d(log p) of each of a batch's targets.
   * @param scores computes the targets' log-probabilities, for a loss whose slope depends on them: once more through the head
   */
  weigh(
    targets: Targets,
    step: StepSize,
    scores: () => Promise<Float32Array>,
  ): Float32Array | Promise<Float32Array>;
  /** What the batch adds to the loss. */
  loss(scores: Float32Array, step: StepSize, targets: Targets): number;
  /** What hidden states add to it. */
  readonly states?: StatesLoss;
  /** What is lowered in the place of the sum over the step: its value, and its derivative by the sum. */
  of?(sum: number): { loss: number; slope: number };
}

/** What an optimiser's step is a mean over. */
export interface StepSize {
  /** All targets of the step. */
  readonly tokens: number;
  /** The rows that these are of. */
  readonly rows: number;
}

/** A loss of the states behind a position, which joins the others in the backward pass. */
export interface StatesLoss {
  readonly position: number;
  /** What a batch's states [B, T, D] add to the step's loss, and dL/d(states). */
  measure(states: Float32Array, batch: PackedBatch): { loss: number; gradient: Float32Array };
}

/** The mean negative log-likelihood of the answers' tokens. */
export const crossEntropy = {
  mode: 'train',
  weigh: (targets: Targets, { tokens }: Pick<StepSize, 'tokens'>): Float32Array =>
    new Float32Array(targets.length).fill(-1 / tokens),
  loss: (scores: Float32Array, { tokens }: Pick<StepSize, 'tokens'>): number =>
    scores.reduce((loss, score) => loss - score / tokens, 0),
} satisfies Objective;
