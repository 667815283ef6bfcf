// The batch shape of a training, and whether it recomputes activations to save memory.
import type { PackShape } from '../data/index.ts';
import { checkCallMemory, checkStatesMemory, isNarrow, type Slots } from '../model/index.ts';

/** How a step is computed: from spec and shapes alone, so that the same spec gives the same numbers anywhere. */
export interface TrainingPlan {
  shape: PackShape;
  /** Whether blocks are run again in the backward pass, because their residuals do not fit into the memory. */
  recompute: boolean;
}

export interface TrainingSize {
  /** Tokens of the longest row. */
  longest: number;
  /** Of a micro-batch. */
  rows: number;
  /** Query heads of a block. */
  heads: number;
  /** Width of the hidden state. */
  hidden: number;
  /** Bytes that residuals may take. */
  memory: number;
  /** Bytes that the stage was given. */
  given: number;
  /** The positions whose blocks' own weights train; none when absent. */
  trained?: ReadonlySet<number>;
}

/** Tokens of a sequence, where no row is longer: rows fill long sequences better, and attention still costs little there. */
const usualCapacity = 256;

/** Tokens of one call: large enough for full speed, small enough that cancelling waits about a second. */
const callTokens = 1024;

/**
 * @param blocks what each position of the emulator runs
 * @throws OffsiteError BadModel where a call, or the states of a batch at all positions, take far more than the memory
 */
export function planTraining(
  blocks: readonly Slots[],
  { longest, rows, heads, hidden, memory, given, trained }: TrainingSize,
): TrainingPlan {
  const capacity = Math.ceil(Math.max(longest, usualCapacity) / 16) * 16;
  const outputs = Math.max(...blocks.flatMap(mapOutputs));
  const needed = Math.ceil((rows * longest) / capacity);
  const batch = Math.max(1, Math.min(rows, needed, Math.floor(callTokens / capacity)));
  const shape = { capacity, batch };
  checkCallMemory('training', { rows: batch, tokens: capacity, heads, outputs, memory: given });
  checkStatesMemory({ tokens: batch * capacity, hidden, positions: blocks.length, memory: given });
  return { shape, recompute: residualBytes(blocks, shape, heads, trained) > memory };
}

/**
 * Bytes that all positions keep of a batch for the backward pass, unless they are run again.
 * @param trained the positions whose blocks' own weights train: only the gradients of factors need the narrow product between them
 */
export function residualBytes(
  blocks: readonly Slots[],
  { capacity, batch }: PackShape,
  heads: number,
  trained: ReadonlySet<number> = new Set(),
): number {
  const keptOf = (slots: Slots, position: number) => mapOutputs(trained.has(position) ? slots : wide(slots));
  const width = blocks.flatMap(keptOf).reduce((sum, outputs) => sum + outputs, 0);
  // A block keeps about the output of each of its matrix products, and as much again, or its attention's products and weights.
  const attention = 2 * heads * capacity * blocks.length;
  return 4 * (width + Math.max(width, attention)) * batch * capacity;
}

/** Without the first of the two factors that a linear map is held as. */
const wide = (slots: Slots): Slots =>
  Object.fromEntries(Object.entries(slots).filter(([slot]) => !isNarrow(slots, slot)));

/** How many numbers each linear map of a block gives of a token. */
const mapOutputs = (slots: Slots): number[] =>
  Object.values(slots).flatMap(({ shape, transposed }) =>
    shape.length === 2 ? [shape[transposed ? 1 : 0] as number] : [],
  );
