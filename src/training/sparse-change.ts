// A penalty on the size of a change, l1 times the sum of |change|, by its proximal step: what gains nothing stays exactly as it was.
import type { TrainedTensor } from './state.ts';

/**
 * Soft thresholding after each step of the optimiser (proximal gradient). A weight of the model is drawn to where it started, a
 * factor or an inserted module to zero, where each changes nothing. AdamW moves a number by about a learning rate a step, so
 * that with an l1 of 1 hardly anything leaves its place.
 */
export class SparseChange {
  readonly #l1: number;
  readonly #starts: ReadonlyMap<TrainedTensor, Float32Array>;

  /** @param tensors as they start: before a training is gone on with */
  constructor(l1: number, tensors: readonly TrainedTensor[]) {
    this.#l1 = l1;
    const weights = tensors.filter(({ isWeight }) => isWeight);
    this.#starts = new Map(weights.map((tensor) => [tensor, tensor.values.slice()]));
  }

  /** Draws each number by l1 learning rates, and no further than to its place. */
  draw(tensor: TrainedTensor, learningRate: number): void {
    const distance = learningRate * this.#l1;
    const start = this.#starts.get(tensor);
    const { values } = tensor;
    for (let i = 0; i < values.length; i++) {
      const place = start?.[i] ?? 0;
      const change = values[i]! - place;
      values[i] = Math.abs(change) <= distance ? place : values[i]! - Math.sign(change) * distance;
    }
  }

  /** The share of the numbers that are in their place at the best step. */
  unchangedShare(tensors: readonly TrainedTensor[]): number {
    let [unchanged, count] = [0, 0];
    for (const tensor of tensors) {
      const start = this.#starts.get(tensor);
      count += tensor.best.length;
      for (let i = 0; i < tensor.best.length; i++) if (tensor.best[i] === (start?.[i] ?? 0)) unchanged++;
    }
    return unchanged / count;
  }
}
