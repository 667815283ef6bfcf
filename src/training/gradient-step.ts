// Backpropagation through a partly trained decoder, with activation checkpointing where asked for.
import type { PackedBatch } from '../data/index.ts';
import {
  type Decoder,
  type HeadGradient,
  type Saved,
  type Site,
  scoreGradient,
  type Weights,
} from '../model/index.ts';
import type { Objective } from './objective.ts';

export interface StepGradients {
  /** The objective's, over the whole step. */
  loss: number;
  /** dL/dw of each trained site, by slot. */
  gradients: Map<Site, Weights>;
}

export interface GradientOptions {
  readonly objective: Objective;
  /** Keeps only each block's input and runs the block again in the backward pass. */
  readonly recompute: boolean;
  /** Filled with the gradient of the head's weight, where it is trained too. */
  readonly head?: HeadGradient;
}

/**
 * The loss of one optimiser step and its gradient for the trained positions, over all of the step's batches.
 * Nothing is computed below the lowest trained position, nor for weights that are not trained.
 * @param trained the trained positions, each with its trained slots, or true for all
 */
export async function gradientStep(
  decoder: Decoder,
  batches: readonly PackedBatch[],
  trained: ReadonlyMap<number, readonly string[] | true>,
  { objective, recompute, head }: GradientOptions,
): Promise<StepGradients> {
  const tokens = batches.reduce((sum, { targets }) => sum + targets.length, 0);
  const lowest = Math.min(...trained.keys());
  const gradients = new Map<Site, Weights>();
  if (head !== undefined) gradients.set('head', { head: head.sum.fill(0) });
  let loss = 0;
  for (const batch of batches) {
    let x = await decoder.embed(batch);
    const kept: (Saved | Float32Array)[] = [];
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
    }
    const weights = objective.weigh(batch.targets, tokens);
    const end = await decoder.head(x, batch.targets, scoreGradient(weights, head));
    loss += objective.loss(end.scores, tokens);
    let dy = end.dx;
    for (let position = decoder.depth - 1; position >= lowest; position--) {
      const held = kept[position] as Saved | Float32Array;
      const saved =
        held instanceof Float32Array
          ? (await decoder.forwardSaving(position, held, batch, wanted(position))).saved
          : held;
      delete kept[position];
      const back = await decoder.backward(position, dy, saved, batch);
      if (back.weights !== undefined) accumulate(gradients, position, back.weights);
      dy = back.dx;
    }
  }
  return { loss, gradients };
}

function accumulate(gradients: Map<Site, Weights>, position: number, more: Weights): void {
  const sum = gradients.get(position);
  if (sum === undefined) {
    gradients.set(position, more);
    return;
  }
  for (const [slot, values] of Object.entries(more)) {
    const into = sum[slot] as Float32Array;
    for (let i = 0; i < into.length; i++) into[i] = (into[i] as number) + (values[i] as number);
  }
}
