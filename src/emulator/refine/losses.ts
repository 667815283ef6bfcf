// What refining lowers: offsite-tuning's distillation, and a distance of two losses.
import type { PackedBatch } from '../../data/index.ts';
import { crossEntropy, type Objective, type StatesLoss } from '../../training/index.ts';

/** What the full model says of a batch. */
export interface Taught {
  /** Its states [B, T, D] where the emulator's are compared; the whole batch's. */
  readonly states: Float32Array;
  /** The log-probabilities of the batch's targets, summed; 0 where nobody asks. */
  readonly logLikelihood: number;
}

export interface DistilWeights {
  /** Of the cross-entropy of the target tokens. */
  readonly lm: number;
  /** Of the distance of the states. */
  readonly kd: number;
}

/**
 * Offsite-tuning's loss (arXiv 2302.04870): lm * cross-entropy + kd * mean of ((h_T - h_S) / rms(h_T))^2 over the step's tokens
 * and dimensions. Each token has an rms of its own, where the paper's code takes one of the whole batch: a few huge states of
 * first tokens would else be all that counts.
 * @param position behind which the emulator's states are h_S
 * @param taught by batch of the step
 */
export function distillation(
  { lm, kd }: DistilWeights,
  position: number,
  taught: ReadonlyMap<PackedBatch, Pick<Taught, 'states'>>,
): Objective {
  const tokens = [...taught.keys()].reduce((sum, batch) => sum + batch.tokens, 0);
  const states: StatesLoss = {
    position,
    measure: (own, batch) => distance(own, taught.get(batch)!.states, batch, kd / tokens),
  };
  return {
    mode: crossEntropy.mode,
    weigh: (targets, step) => crossEntropy.weigh(targets, step).map((weight) => lm * weight),
    loss: (scores, step) => lm * crossEntropy.loss(scores, step),
    ...(kd === 0 ? {} : { states }),
  };
}

/**
 * LLEOT's step (c) (ACL Findings 2026.1878): |CE_E - CE_M - margin|, which lifts the emulator's loss to a distance of the full
 * model's, on the same rows.
 * @param taught by batch of the step
 */
export function elevation(
  margin: number,
  taught: ReadonlyMap<PackedBatch, Pick<Taught, 'logLikelihood'>>,
): Objective {
  const targets = [...taught.keys()].reduce((sum, batch) => sum + batch.targets.length, 0);
  const full = [...taught.values()].reduce((sum, { logLikelihood }) => sum - logLikelihood, 0) / targets;
  return {
    ...crossEntropy,
    of(own) {
      const difference = own - full - margin;
      return { loss: Math.abs(difference), slope: Math.sign(difference) };
    },
  };
}

/** `factor` / D * sum of ((h_T - h_S) / rms(h_T))^2 over the tokens that are no padding, and its gradient by h_S. */
function distance(
  own: Float32Array,
  full: Float32Array,
  { rows }: PackedBatch,
  factor: number,
): { loss: number; gradient: Float32Array } {
  const width = own.length / rows.length;
  const gradient = new Float32Array(own.length);
  let loss = 0;
  rows.forEach((row, token) => {
    if (row < 0) return;
    const start = token * width;
    let squares = 0;
    for (let i = start; i < start + width; i++) squares += full[i]! * full[i]!;
    // A state of zeros has no scale: it is compared as it is.
    const weight = factor / (squares || width);
    for (let i = start; i < start + width; i++) {
      const difference = own[i]! - full[i]!;
      loss += weight * difference * difference;
      gradient[i] = 2 * weight * difference;
    }
  });
  return { loss, gradient };
}
