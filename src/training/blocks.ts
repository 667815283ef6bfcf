// Whole blocks under training: every tensor of the blocks that some positions of a decoder run.
import { badSpec } from '../api/index.ts';
import type { Architecture, WeightSource, Weights } from '../model/index.ts';
import type { Trainable } from './optimiser-step.ts';

/** A block that trains with all its tensors, and what runs there because of them. */
export interface TrainedBlock extends Trainable {
  readonly weights: Weights;
}

export interface TrainedBlocks {
  /** By position; positions that run the same block have the same one. */
  readonly parts: ReadonlyMap<number, TrainedBlock>;
  /** What weights, gradients and moments take. */
  readonly bytes: number;
}

export interface BlockOptions {
  /** The most bytes that weights, gradients and moments may take. */
  readonly memory: number;
  /** The field of the spec that asks for the training. */
  readonly field: string;
}

/** Of a parameter: its value, its gradient, and AdamW's two moments. */
const floats = 4;

/**
 * The blocks at some positions, beginning with the source's weights. A block that several of them run trains by all of them.
 * @throws OffsiteError BadSpec where the memory is too small
 */
export function trainedBlocks(
  source: WeightSource,
  { marks = {} }: Pick<Architecture, 'marks'>,
  positions: readonly number[],
  { memory, field }: BlockOptions,
): TrainedBlocks {
  const keyOf = (position: number) =>
    Object.values(source.slots(position))
      .map(({ name }) => name)
      .join();
  const places = new Map(positions.map((position) => [keyOf(position), position]));
  const parameters = [...places.values()]
    .flatMap((position) => Object.values(source.slots(position)))
    .reduce((sum, { shape }) => sum + shape.reduce((product, length) => product * length, 1), 0);
  const bytes = parameters * floats * Float32Array.BYTES_PER_ELEMENT;
  if (bytes > memory)
    throw badSpec(
      `${field}: training ${parameters} parameters takes ${bytes} bytes (weights, gradients and AdamW's moments), and ${Math.floor(memory)} may be used for them; raise spec.engine.memory`,
    );
  const blocks = new Map(
    [...places].map(([key, position]) => [key, trainedBlock(source, position, new Set(Object.keys(marks)))]),
  );
  const parts = new Map(positions.map((position) => [position, blocks.get(keyOf(position))!]));
  return { parts, bytes };
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
