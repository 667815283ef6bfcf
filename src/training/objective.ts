// Training objectives: a loss and its derivative.
import type { Target, TokenizeOptions } from '../data/index.ts';

/** What training lowers: a loss of the targets' log-probabilities, a sum over all batches of the optimiser's step. */
export interface Objective {
  /** Which of a row's answers become tokens. */
  readonly mode: TokenizeOptions['mode'];
  /**
   * dL/d(log p) of each of a batch's targets.
   * @param tokens all targets of the step
   */
  weigh(targets: readonly Target[], tokens: number): Float32Array;
  /** What the batch adds to the loss. */
  loss(scores: Float32Array, tokens: number): number;
}

/** The mean negative log-likelihood of the answers' tokens. */
export const crossEntropy: Objective = {
  mode: 'train',
  weigh: (targets, tokens) => new Float32Array(targets.length).fill(-1 / tokens),
  loss: (scores, tokens) => scores.reduce((loss, score) => loss - score / tokens, 0),
};
