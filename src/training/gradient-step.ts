// Backpropagation through a partly trained decoder, with activation checkpointing where asked for.
import type { PackedBatch } from '../data/index.ts';
import {
  type Decoder,
  type HeadGradient,
  type Saved,
  type Site,
  score,
  scoreGradient,
  type Weights,
} from '../model/index.ts';
import type { Objective, StepSize } from './objective.ts';

export interface StepGradients {
  /** The objective's, over the whole step. */
  loss: number;
  /** dL/dw by slot, of each trained site; of positions that share their weights the sum, at `sumAt`. */
  gradients: Map<Site, Weights>;
}

export interface GradientOptions {
  readonly objective: Objective;
  /** Keeps only each block's input and runs the block again in the backward pass. */
  readonly recompute: boolean;
  /** The position under which a trained one's gradients are summed: one for all that run the same weights; itself when absent. */
  readonly sumAt?: (position: number) => number;
  /** Filled with the gradient of the head's weight, where it is trained too. */
  readonly head?: HeadGradient;
}

/**
 * The loss of one optimiser step and its gradient for the trained positions, over all of the step's batches.
 * Nothing is computed below the lowest trained position, nor for weights that are not trained; an objective that looks at
 * states looks there or above.
 * @param trained the trained positions, each with its trained slots, or true for all
 */
export async function gradientStep(
  decoder: Decoder,
  batches: readonly PackedBatch[],
  trained: ReadonlyMap<number, readonly string[] | true>,
  { objective, recompute, sumAt = (position) => position, head }: GradientOptions,
): Promise<StepGradients> {
  const size = stepSize(batches);
  const lowest = Math.min(...trained.keys());
  const gradients = new Map<Site, Weights>();
  if (head !== undefined) gradients.set('head', { head: head.sum.fill(0) });
  let sum = 0;
  for (const batch of batches) {
    let x = await decoder.embed(batch);
    const kept: (Saved | Float32Array)[] = [];
    let fromStates: Float32Array | undefined;
    const wanted = (position: number) => ({
      weights: trained.get(position) ?? false,
      input: position > lowest,
    });
    for (let position = 0; position < decoder.depth; position++) {
      if (position < lowest || recompute) {
        kept[position] = x;
        x = (await decoder.forward(position, x, batch)).y;
      } else {
        const { y, saved } = await decoder.forwardSaving(position, x, batch, wanted(position));
        kept[position] = saved;
        x = y;
      }
      if (position !== objective.states?.position) continue;
      const found = objective.states.measure(x, batch);
      sum += found.loss;
      fromStates = found.gradient;
    }
    const { targets } = batch;
    const last = x;
    const weights = await objective.weigh(targets, size, () => decoder.head(last, targets, score));
    const end = await decoder.head(x, targets, scoreGradient(weights, head));
    sum += objective.loss(end.scores, size, targets);
    let dy = end.dx;
    for (let position = decoder.depth - 1; position >= lowest; position--) {
      if (position === objective.states?.position) addTo(dy, fromStates!);
      const held = kept[position] as Saved | Float32Array;
      const saved =
        held instanceof Float32Array
          ? (await decoder.forwardSaving(position, held, batch, wanted(position))).saved
          : held;
      delete kept[position];
      const back = await decoder.backward(position, dy, saved, batch);
      if (back.weights !== undefined) accumulate(gradients, sumAt(position), back.weights);
      dy = back.dx;
    }
  }
  const { loss, slope } = objective.of?.(sum) ?? { loss: sum, slope: 1 };
  if (slope !== 1) for (const values of gradients.values()) multiply(values, slope);
  return { loss, gradients };
}

const stepSize = (batches: readonly PackedBatch[]): StepSize => ({
  tokens: batches.reduce((sum, { targets }) => sum + targets.length, 0),
  rows: batches.reduce((sum, { targets }) => sum + new Set(targets.map(({ row }) => row)).size, 0),
});

function accumulate(gradients: Map<Site, Weights>, site: Site, more: Weights): void {
  const sum = gradients.get(site);
  if (sum === undefined) gradients.set(site, more);
  else for (const [slot, values] of Object.entries(more)) addTo(sum[slot]!, values);
}

function addTo(sum: Float32Array, more: Float32Array): void {
  for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) + (more[i] as number);
}

function multiply(weights: Weights, by: number): void {
  for (const values of Object.values(weights))
    for (let i = 0; i < values.length; i++) values[i] = (values[i] as number) * by;
}
