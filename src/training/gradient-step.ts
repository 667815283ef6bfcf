// Backpropagation through a partly trained decoder, with activation checkpointing where asked for.
import type { PackedBatch } from '../data/index.ts';
import {
  type Decoder,
  type HeadGradient,
  type Saved,
  type Site,
  type Span,
  type States,
  score,
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
  /** Keeps only each span's input and runs the span again in the backward pass. */
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
  const { states } = objective;
  const spans = decoder.spans([lowest - 1, ...(states ? [states.position] : [])]);
  const isBehind = (span: Span) => states !== undefined && span.at(-1) === states.position;
  const wanted = (span: Span) => ({ weights: trained, input: span[0]! > lowest });
  for (const batch of batches) {
    let x = await decoder.embed(batch);
    /** Of each span that is run backward its input, with what was saved. */
    const kept: { span: Span; x: States; saved?: Saved }[] = [];
    let fromStates: Float32Array | undefined;
    for (const span of spans) {
      const before = x;
      if (span[0]! < lowest || recompute) x = await decoder.forward(span, before, batch);
      if (span[0]! < lowest) decoder.free(before);
      else if (recompute) kept.push({ span, x: before });
      else {
        const { y, saved } = await decoder.forwardSaving(span, before, batch, wanted(span));
        kept.push({ span, x: before, saved });
        x = y;
      }
      if (!isBehind(span)) continue;
      const found = states!.measure(await decoder.read(x), batch);
      sum += found.loss;
      fromStates = found.gradient;
    }
    const { targets } = batch;
    const last = x;
    const weights = await objective.weigh(targets, size, () => decoder.head(last, targets, score));
    const end = await decoder.headBackward(last, targets, weights, head);
    decoder.free(last);
    sum += objective.loss(end.scores, size, targets);
    let dy = end.dx;
    for (let step = kept.pop(); step !== undefined; step = kept.pop()) {
      const { span } = step;
      if (isBehind(span)) dy = await plus(decoder, dy, fromStates!, batch);
      const saved = step.saved ?? (await savedOf(decoder, span, step.x, batch, wanted(span)));
      const back = await decoder.backward(span, dy, saved, batch);
      for (const [position, found] of back.weights) accumulate(gradients, sumAt(position), found);
      if (back.dx !== undefined) dy = back.dx;
    }
    decoder.forget(batch);
  }
  const { loss, slope } = objective.of?.(sum) ?? { loss: sum, slope: 1 };
  if (slope !== 1) for (const values of gradients.values()) multiply(values, slope);
  return { loss, gradients };
}

const stepSize = (batches: readonly PackedBatch[]): StepSize => ({
  tokens: batches.reduce((sum, { targets }) => sum + targets.length, 0),
  rows: batches.reduce((sum, { targets }) => sum + new Set(Array.from(targets, ({ row }) => row)).size, 0),
});

/** Runs a span again for what its backward needs. */
async function savedOf(
  decoder: Decoder,
  ...[span, x, batch, wanted]: Parameters<Decoder['forwardSaving']>
): Promise<Saved> {
  const { y, saved } = await decoder.forwardSaving(span, x, batch, wanted);
  decoder.free(y);
  return saved;
}

/** States and the host's numbers added, in the place of the first. */
async function plus(
  decoder: Decoder,
  states: States,
  more: Float32Array,
  batch: PackedBatch,
): Promise<States> {
  const sum = await decoder.read(states);
  decoder.free(states);
  addTo(sum, more);
  return await decoder.place(sum, batch);
}

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
