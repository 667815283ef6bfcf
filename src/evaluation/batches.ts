// The packing of evaluation rows in batches that suit the size of the model.
import {
  capacityFor,
  cheapestCapacity,
  type Example,
  type PackedBatch,
  PackedRoom,
  PackedTargets,
  type Part,
  pack,
  partsOf,
  type Target,
} from '../data/index.ts';
import { type Architecture, checkCallMemory, type Slot, usualScores } from '../model/index.ts';

/** About how many floating-point operations one call of a block may take, so that cancelling waits about a second. */
const callOperations = 6e10;
const mostTokens = 2048;
/** What a score of attention costs, in multiply-adds of a linear map: its two products, and what softmax does to it. */
const scoreCost = 256;
/** Numbers of a call: attention scores of all heads, and what the widest linear map gives. No usual model has fewer tokens for these. */
const mostScores = 2 ** 27;
const mostOutputs = 2 ** 26;

export interface PackOptions {
  /** Of the rows, for messages. */
  readonly path?: string;
  /** What counts the batches; a room for these alone when absent, of which none are held beside others. */
  readonly room?: PackedRoom;
  /** The most tokens of a row; 2048 when absent. */
  readonly maxLength?: number;
  /** Of rows that are hidden how many their set has: that and `maxLength` decide how long sequences may be and what is refused of all. */
  readonly hidden?: { readonly rows: number } | undefined;
  /** Whether who runs them goes by tiles over scores that are many; false when absent. */
  readonly byTiles?: boolean;
  /** Bytes that the stage was given: no batch follows from them, but a sequence that could not fit is refused. */
  readonly memory: number;
}

/**
 * Packs examples into batches whose shape follows from the rows and the model alone (never from free memory), so that
 * the same input gives the same numbers anywhere. A row of more tokens than `maxLength` and 2048, or whose answers have angles of
 * their own, is laid into several sequences; the targets are still the row's.
 * @throws OffsiteError BadModel where one sequence alone takes far more than the memory, BadData where all of them do
 */
export function packForModel(
  examples: readonly Example[],
  architecture: Architecture,
  { path = 'the rows', room = new PackedRoom(), maxLength = 0, hidden, memory, byTiles = false }: PackOptions,
): PackedBatch[] {
  const lengthClass = lengthClassOf(architecture);
  const byRow = examples.map((example) => partsOf(example, maxLength, lengthClass, hidden ? 0 : undefined));
  const parts = byRow.flat();
  if (hidden) room.addHidden(path, byRow, { rows: hidden.rows, memory });
  else room.add(path, parts, memory);
  const { heads } = architecture.widths;
  const perToken = (heads * scoreCost) / largestBlock(architecture);
  const capacity = cheapestCapacity(parts, perToken);
  const outputs = widestMap(architecture);
  const scores = heads * capacity ** 2 * Float32Array.BYTES_PER_ELEMENT;
  const isTiled = byTiles && architecture.isTiled === true && scores >= usualScores;
  const longest = hidden ? Math.max(capacity, capacityFor([], maxLength)) : capacity;
  checkCallMemory('forward', { rows: 1, tokens: longest, heads, isTiled, outputs, memory });
  const tokens = Math.min(
    mostTokens,
    callOperations / (2 * largestBlock(architecture)),
    mostScores / (heads * capacity),
    mostOutputs / outputs,
  );
  const shape = { capacity, batch: Math.max(1, Math.floor(tokens / capacity)) };
  if (parts.length === examples.length) return pack(examples, shape);
  // Numbers of their own: what shares a sequence must not see the trunk of another part of its row.
  const batches = pack(
    parts.map((part, row) => ({ ...part, row })),
    shape,
  );
  return batches.map((batch) => ({
    ...batch,
    targets: PackedTargets.of(Array.from(batch.targets, (target) => targetOf(target, parts[target.row]!))),
  }));
}

const lengthClassOf = (architecture: Architecture) => (length: number) =>
  architecture.lengthClass?.(length) ?? '';

/** Whether all of a row's answers share its prompt, as far as its angles go. */
export const sharesPrompt = (example: Example, architecture: Architecture): boolean =>
  partsOf(example, Number.POSITIVE_INFINITY, lengthClassOf(architecture)).length === 1;

/** A part's target as the row's. */
const targetOf = (target: Target, { row, places }: Part): Target => ({
  ...target,
  row,
  branch: target.branch === 0 ? 0 : places[target.branch - 1]! + 1,
});

/** The parameters of the block that has most. */
function largestBlock(architecture: Architecture): number {
  return largestOf(architecture, (slots) =>
    slots.reduce((sum, { shape }) => sum + shape.reduce((product, length) => product * length, 1), 0),
  );
}

/** How many numbers a token has behind the linear map that gives most. */
function widestMap(architecture: Architecture): number {
  return largestOf(architecture, (slots) =>
    slots.reduce(
      (most, { shape, transposed }) =>
        shape.length === 2 ? Math.max(most, shape[transposed ? 1 : 0] as number) : most,
      1,
    ),
  );
}

function largestOf(architecture: Architecture, sizeOf: (slots: readonly Slot[]) => number): number {
  let largest = 0;
  for (let layer = 0; layer < architecture.depth; layer++)
    largest = Math.max(largest, sizeOf(Object.values(architecture.block(layer))));
  return largest;
}
