// What one sequence alone takes of memory in a block, however small the model's files are.
import { badModel } from '../api/index.ts';

export interface RowSize {
  /** Of the longest sequence. */
  readonly tokens: number;
  /** Query heads of a block. */
  readonly heads: number;
  /** Numbers that the widest linear map gives of a token. */
  readonly outputs: number;
  /** Bytes that the stage was given. */
  readonly memory: number;
}

/** Bytes that any stage may take for one such array: what 32 heads take for 1448 tokens. */
const usual = 2 ** 28;
/** Of the stage's memory, which bounds weights and states and never batches: models whose rows are long are not to be refused. */
const share = 2;

/**
 * A batch has one sequence at least, and maps in factors cost next to no weights: so the sizes that config.json states are held
 * against the memory that there is. Looked at is the larger of the attention scores and of the widest map's outputs.
 * @throws OffsiteError BadModel with what takes so much; how long the row is follows from what it says, and is not told
 */
export function checkRowMemory({ tokens, heads, outputs, memory }: RowSize): void {
  const scores = heads * tokens;
  const bytes = Float32Array.BYTES_PER_ELEMENT * tokens * Math.max(scores, outputs);
  const most = mostBytes(memory);
  if (bytes <= most) return;
  const what = scores > outputs ? `${heads} heads` : `a linear map of ${outputs} outputs`;
  throw badModel(
    `config.json: ${what} alone would take more than ${most} bytes for the longest row; lower maxLength or raise spec.engine.memory`,
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
    `config.json: the states of ${hidden} numbers at ${positions} positions alone would take more than ${most} bytes for a batch of rows; lower maxLength or raise spec.engine.memory`,
  );
}

const mostBytes = (memory: number) => Math.max(usual, share * memory);
