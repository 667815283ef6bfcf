// What calls and trainings take of memory, however small the model's files are.
import { badModel, badSpec } from '../api/index.ts';

export interface CallSize {
  /** Sequences of a call. */
  readonly rows: number;
  /** Of a sequence. */
  readonly tokens: number;
  /** Query heads of a block. */
  readonly heads: number;
  /** Whether attention goes by tiles: there are no scores then, but a mask that all heads share. */
  readonly isTiled?: boolean;
  /** Numbers that the widest linear map gives of a token. */
  readonly outputs: number;
  /** Bytes that the stage was given. */
  readonly memory: number;
}

/** How often a call holds the attention scores (or the mask alone), and the widest map's outputs, at its peak: measured, about. */
const copies = { forward: { scores: 3, outputs: 7 }, training: { scores: 15, outputs: 28 } };
/** Bytes that a call of any stage may take, whatever it was given. */
const usual = 2 ** 31;
/** Of the stage's memory, which bounds weights and states and no call: models whose rows are long are not to be refused. */
const share = 2;

/**
 * A batch has one sequence at least, and maps in factors cost next to no weights: so the sizes that config.json states are held
 * against the memory that there is. Looked at is the larger of the attention scores and of the widest map's outputs.
 * @throws OffsiteError BadModel with what takes so much; how long the row is follows from what it says, and is not told
 */
export function checkCallMemory(
  kind: keyof typeof copies,
  { rows, tokens, heads, outputs, memory, isTiled = false }: CallSize,
): void {
  const scores = copies[kind].scores * (isTiled ? 1 : heads) * tokens;
  const widest = copies[kind].outputs * outputs;
  const most = mostBytes(memory);
  if (Float32Array.BYTES_PER_ELEMENT * rows * tokens * Math.max(scores, widest) <= most) return;
  const ofScores = isTiled ? 'the mask of attention' : `${heads} heads`;
  const what = scores > widest ? ofScores : `a linear map of ${outputs} outputs`;
  throw badModel(
    `config.json: ${what} would take more than ${most} bytes for the longest row; lower maxLength or raise spec.engine.memory`,
  );
}

export interface StatesSize {
  /** Of a batch. */
  readonly tokens: number;
  readonly hidden: number;
  /** How many states of a token are kept: one for each position, though all positions may run one small layer. */
  readonly positions: number;
  /** Bytes that the stage was given. */
  readonly memory: number;
}

/** The same for the states that a training keeps of a batch for its backward pass, where nothing else is kept. @throws OffsiteError BadModel */
export function checkStatesMemory({ tokens, hidden, positions, memory }: StatesSize): void {
  const most = mostBytes(memory);
  if (Float32Array.BYTES_PER_ELEMENT * tokens * hidden * positions <= most) return;
  throw badModel(
    `config.json: the states of ${hidden} numbers at ${positions} positions would take more than ${most} bytes for a batch of rows; lower maxLength or raise spec.engine.memory`,
  );
}

export interface TrainedSize {
  /** Numbers of all tensors that train. */
  readonly numbers: number;
  /** Bytes of the emulator's files. */
  readonly stored: number;
  /** Bytes that the stage was given. */
  readonly memory: number;
  /** Whether rows' gradients are summed one by one, in float64, beside the one that is computed. */
  readonly byRow?: boolean;
}

/** Of a number that trains: its value, gradient, two moments and best value, and what runs because of it. */
const trainedBytes = 6 * Float32Array.BYTES_PER_ELEMENT;
/** Who brings the weights that train pays for them: so many bytes may be taken for one of the emulator's files (bfloat16: 2 a number). */
const trainedShare = 12;

/**
 * The same for what trains: beside narrow or factored maps it has the shape of the whole ones, for which a bundle pays nothing.
 * @throws OffsiteError BadSpec
 */
export function checkTrainedMemory({ numbers, stored, memory, byRow = false }: TrainedSize): void {
  const most = Math.max(mostBytes(memory), trainedShare * stored);
  const needed = numbers * (trainedBytes + (byRow ? Float64Array.BYTES_PER_ELEMENT : 0));
  if (needed <= most) return;
  throw badSpec(
    `spec.adapter: training its ${numbers} numbers in this emulator of ${stored} bytes would take ${needed} bytes (values, gradients, AdamW's moments), more than ${most}; lower spec.adapter.rank or size, or raise spec.engine.memory`,
  );
}

const mostBytes = (memory: number) => Math.max(usual, share * memory);
