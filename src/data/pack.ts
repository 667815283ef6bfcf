// Sequence packing: rows of any length in sequences of one length, with the targets to predict.
import { type Example, tokenCount } from './example.ts';
import { PackedTargets, type Target, type Targets } from './targets.ts';

/**
 * Rows that share sequences. Token j sees token i of its sequence iff i <= j, their rows are equal, and i's branch is 0
 * or j's. All arrays are [size * length], row-major.
 */
export interface PackedBatch {
  readonly size: number;
  readonly length: number;
  readonly ids: Int32Array;
  /** Place in its row: branches all go on from the trunk's length. */
  readonly positions: Int32Array;
  /** -1 is padding; the parts of a row in several sequences are rows of their own here. */
  readonly rows: Int32Array;
  readonly branches: Int32Array;
  readonly targets: Targets;
  /** How many of the size * length tokens are no padding. */
  readonly tokens: number;
}

export interface PackShape {
  /** Tokens of a sequence (T). */
  readonly capacity: number;
  /** The most sequences of a batch (B). */
  readonly batch: number;
}

const usualCapacity = 128;

/**
 * Packs rows into sequences of `capacity` tokens: the longest row first, into the fullest sequence with room for it.
 * No row is split. Every batch has `batch` sequences but the last, which has what is left: at most two shapes, and no
 * padding sequences. The same examples give the same batches, whatever their order.
 * @throws RangeError when a row is longer than `capacity`, or stands twice (the mask could not keep them apart).
 */
export function pack(examples: readonly Example[], { capacity, batch }: PackShape): PackedBatch[] {
  checkDistinct(examples);
  const sequences = fill(examples, capacity);
  const batches: PackedBatch[] = [];
  for (let start = 0; start < sequences.length; start += batch)
    batches.push(layOut(sequences.slice(start, start + batch), capacity));
  return batches;
}

/**
 * The batches of one optimiser step: the examples at the given places in as few sequences as `shape.capacity` allows,
 * which are then as short as these rows let them be (a multiple of 16), so that little padding is computed.
 */
export function packStep(
  examples: readonly Example[],
  places: readonly number[],
  { capacity: most, batch }: PackShape,
): PackedBatch[] {
  const rows = places.map((place) => examples[place]!);
  const count = fill(rows, most).length;
  const least = capacityFor(rows, Math.ceil(rows.reduce((sum, row) => sum + tokenCount(row), 0) / count));
  let capacity = Math.min(most, least);
  while (capacity < most && fill(rows, capacity).length > count) capacity = Math.min(most, capacity + 16);
  return pack(rows, { capacity, batch });
}

/**
 * How long the sequences are best in which rows take least, where each token of a sequence costs 1 + `perToken` * length: a multiple
 * of 16 that holds the longest row, and no more than 128 where that is shorter. Rows fill long sequences better; attention costs
 * less in short ones.
 */
export function cheapestCapacity(examples: readonly Example[], perToken: number): number {
  const shortest = capacityFor(examples, 1);
  let best = { capacity: shortest, cost: Number.POSITIVE_INFINITY };
  for (let capacity = shortest; capacity <= Math.max(shortest, usualCapacity); capacity += 16) {
    const cost = fill(examples, capacity).length * capacity * (1 + perToken * capacity);
    if (cost < best.cost) best = { capacity, cost };
  }
  return best.capacity;
}

/** The smallest multiple of 16 that holds the longest row, and at least `least` tokens. */
export function capacityFor(examples: readonly Example[], least: number): number {
  const longest = examples.reduce((most, example) => Math.max(most, tokenCount(example)), least);
  return Math.ceil(longest / 16) * 16;
}

/** Best fit decreasing; sequences come in the order of their first row, rows within one in ascending order. */
function fill(examples: readonly Example[], capacity: number): Example[][] {
  const byLength = examples
    .map((example) => ({ example, count: tokenCount(example) }))
    .sort((a, b) => b.count - a.count || a.example.row - b.example.row);
  const withRoom: Example[][][] = Array.from({ length: capacity + 1 }, () => []);
  const sequences: Example[][] = [];
  for (const { example, count } of byLength) {
    if (count > capacity)
      throw new RangeError(`row ${example.row + 1} has ${count} tokens, the capacity is ${capacity}`);
    let room = count;
    while (room < capacity && withRoom[room]!.length === 0) room++;
    let sequence = withRoom[room]!.pop();
    if (sequence === undefined) {
      sequence = [];
      sequences.push(sequence);
    }
    sequence.push(example);
    withRoom[room - count]!.push(sequence);
  }
  for (const sequence of sequences) sequence.sort((a, b) => a.row - b.row);
  return sequences.sort((a, b) => a[0]!.row - b[0]!.row);
}

function checkDistinct(examples: readonly Example[]): void {
  const seen = new Set<number>();
  for (const { row } of examples) {
    if (seen.has(row)) throw new RangeError(`row ${row + 1} stands twice among the rows to pack`);
    seen.add(row);
  }
}

function layOut(sequences: Example[][], length: number): PackedBatch {
  const size = sequences.length;
  const array = () => new Int32Array(size * length);
  const batch = { ids: array(), positions: array(), rows: array().fill(-1), branches: array() };
  const targets: Target[] = [];
  const tokens = sequences.flat().reduce((sum, example) => sum + tokenCount(example), 0);
  const write = (start: number, tokens: readonly number[], row: number, branch: number, position: number) => {
    batch.ids.set(tokens, start);
    batch.rows.fill(row, start, start + tokens.length);
    batch.branches.fill(branch, start, start + tokens.length);
    for (let t = 0; t < tokens.length; t++) batch.positions[start + t] = position + t;
    return start + tokens.length;
  };
  sequences.forEach((sequence, index) => {
    let next = index * length;
    for (const { row, trunk, branches, starts, spans = [[1, trunk.length]] } of sequence) {
      const start = next;
      next = write(start, trunk, row, 0, 0);
      const fork = next - 1;
      if (branches.length === 0)
        for (const [from, to] of spans)
          for (let t = from; t < to; t++)
            targets.push({ from: start + t - 1, token: trunk[t]!, row, branch: 0 });
      branches.forEach((tokens, choice) => {
        const first = next;
        next = write(first, tokens, row, choice + 1, trunk.length);
        for (let t = starts?.[choice] ?? 0; t < tokens.length; t++)
          targets.push({
            from: t === 0 ? fork : first + t - 1,
            token: tokens[t]!,
            row,
            branch: choice + 1,
          });
      });
    }
  });
  return { size, length, ...batch, targets: PackedTargets.of(targets), tokens };
}
