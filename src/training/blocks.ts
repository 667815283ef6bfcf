// Whole blocks under training: every tensor of the blocks that some positions of a decoder run.
import { badSpec } from '../api/index.ts';
import { type Example, tokenCount } from '../data/index.ts';
import type { Architecture, WeightSource, Weights } from '../model/index.ts';
import type { Trainable } from './optimiser-step.ts';
import { planTraining, residualBytes, type TrainingPlan } from './plan.ts';

/** A block that trains with all its tensors, and what runs there because of them. */
export interface TrainedBlock extends Trainable {
  readonly weights: Weights;
}

export interface TrainedBlocks {
  /** By position; positions that run the same block have the same one. */
  readonly parts: ReadonlyMap<number, TrainedBlock>;
  readonly plan: TrainingPlan;
  /** What weights, gradients, moments and the states for the backward pass take. */
  readonly bytes: number;
}

export interface BlockOptions {
  readonly examples: readonly Example[];
  /** Rows of a step. */
  readonly batchSize: number;
  /** Bytes that the training may take. */
  readonly memory: number;
  /** The field of the spec that asks for the training. */
  readonly field: string;
}

/** States for the backward pass are kept up to so many bytes, whatever memory there is: the same spec gives the same numbers anywhere. */
const mostResiduals = 2 ** 31;
/** Of a parameter: its value, its gradient, and AdamW's two moments. */
const floats = 4;

/**
 * The blocks at some positions, beginning with the source's weights. A block that several of them run trains by all of them.
 * @throws OffsiteError BadSpec where the memory is too small
 */
export function trainedBlocks(
  source: WeightSource,
  { marks = {}, hidden, widths: { heads } }: Pick<Architecture, 'hidden' | 'marks' | 'widths'>,
  positions: readonly number[],
  { examples, batchSize, memory, field }: BlockOptions,
): TrainedBlocks {
  const keyOf = (position: number) =>
    Object.values(source.slots(position))
      .map(({ name }) => name)
      .join();
  const places = new Map(positions.map((position) => [keyOf(position), position]));
  const parameters = [...places.values()]
    .flatMap((position) => Object.values(source.slots(position)))
    .reduce((sum, { shape }) => sum + shape.reduce((product, length) => product * length, 1), 0);
  const slots = Array.from({ length: source.depth }, (_, position) => source.slots(position));
  const plan = planTraining(slots, {
    longest: examples.reduce((most, example) => Math.max(most, tokenCount(example)), 1),
    rows: batchSize,
    heads,
    hidden,
    memory: mostResiduals,
    given: memory,
    trained: new Set(positions),
  });
  const own = parameters * floats * Float32Array.BYTES_PER_ELEMENT;
  const states =
    residualBytes(slots, plan.shape, heads, new Set(positions)) / (plan.recompute ? source.depth : 1);
  const bytes = own + states;
  if (bytes > memory)
    throw badSpec(
      `${field}: training ${parameters} parameters takes ${own} bytes (weights, gradients and AdamW's moments) and ${Math.ceil(states)} for the backward pass, and ${Math.floor(memory)} may be used for them; raise spec.engine.memory`,
    );
  const blocks = new Map(
    [...places].map(([key, position]) => [key, trainedBlock(source, position, new Set(Object.keys(marks)))]),
  );
  const parts = new Map(positions.map((position) => [position, blocks.get(keyOf(position))!]));
  return { parts, plan, bytes };
}

/** @param fixed the slots that do not train */
function trainedBlock(source: WeightSource, position: number, fixed: ReadonlySet<string>): TrainedBlock {
  const slots = source.slots(position);
  const read = source.block(position);
  const weights = Object.fromEntries(Object.keys(slots).map((slot) => [slot, read[slot]!.slice()]));
  const trained = Object.keys(slots).filter((slot) => !fixed.has(slot));
  const tensors = trained.map((slot) => {
    const values = weights[slot]!;
    const zeros = () => new Float32Array(values.length);
    const { name, shape } = slots[slot]!;
    return { name, shape, values, first: zeros(), second: zeros(), best: values };
  });
  return {
    weights,
    tensors,
    training: {
      slots: trained,
      gradients: (of) => trained.map((slot) => of[slot]!),
      update() {},
    },
  };
}
