/** One tokenised row: a trunk (the prompt) and the branches that continue it, so that a prompt is computed once for all its choices. */
export interface Example {
  /** The row's number in its file, counted from 1. */
  row: number;
  trunk: readonly number[];
  branches: readonly (readonly number[])[];
  /** Whether the trunk's own tokens (but the first) are predicted too, as in text rows. */
  predictTrunk: boolean;
}

/** A token that is predicted, and from where. */
export interface Target {
  /** Flat index (sequence * length + position) of the state that predicts it. */
  from: number;
  token: number;
  row: number;
  /** 0 for the trunk's own tokens, k for the k-th branch. */
  branch: number;
}

/**
 * Rows packed side by side into sequences of one length. Token j sees token i of its sequence iff i <= j,
 * their rows are equal, and i stands in the trunk or in j's own branch.
 */
export interface PackedBatch {
  /** Sequences (B) and tokens in each (T). */
  size: number;
  length: number;
  /** [B*T] each; padding has row -1 and sees itself only. */
  ids: Int32Array;
  positions: Int32Array;
  rows: Int32Array;
  branches: Int32Array;
  targets: Target[];
  /** How many of the B*T tokens are no padding. */
  tokens: number;
}

/** Lengths are rounded up to a multiple of this, so that few shapes occur. */
const lengthStep = 16;
/** Short rows share sequences of this length; longer sequences waste attention, shorter ones waste matrix products. */
const shortLength = 128;

/** The length of the sequences into which examples of these lengths are packed. */
export function sequenceLength(examples: readonly Example[]): number {
  const longest = Math.max(1, ...examples.map(exampleLength));
  return Math.ceil(Math.max(longest, shortLength) / lengthStep) * lengthStep;
}

/** Tokens that an example takes in a sequence. */
export function exampleLength({ trunk, branches }: Example): number {
  return trunk.length + branches.reduce((sum, branch) => sum + branch.length, 0);
}

/**
 * Packs examples in their order: each goes into the first sequence of the batch that has room (first fit).
 * A batch holds at most `size` sequences; the last one may hold fewer.
 * @param length of every sequence, at least that of the longest example
 */
export function pack(
  examples: readonly Example[],
  { size, length = sequenceLength(examples) }: { size: number; length?: number },
): PackedBatch[] {
  const batches: Example[][][] = [];
  let sequences: { examples: Example[]; used: number }[] = [];
  const close = () => {
    if (sequences.length > 0) batches.push(sequences.map((sequence) => sequence.examples));
    sequences = [];
  };
  for (const example of examples) {
    const needed = exampleLength(example);
    if (needed > length)
      throw new RangeError(`row ${example.row} has ${needed} tokens, the sequence ${length}`);
    let sequence = sequences.find(({ used }) => used + needed <= length);
    if (sequence === undefined) {
      if (sequences.length === size) close();
      sequence = { examples: [], used: 0 };
      sequences.push(sequence);
    }
    sequence.examples.push(example);
    sequence.used += needed;
  }
  close();
  return batches.map((batch) => layOut(batch, length));
}

function layOut(sequences: readonly (readonly Example[])[], length: number): PackedBatch {
  const count = sequences.length * length;
  const batch: PackedBatch = {
    size: sequences.length,
    length,
    ids: new Int32Array(count),
    positions: new Int32Array(count),
    rows: new Int32Array(count).fill(-1),
    branches: new Int32Array(count),
    targets: [],
    tokens: 0,
  };
  sequences.forEach((examples, sequence) => {
    let at = sequence * length;
    for (const example of examples) at = place(batch, example, at);
    batch.tokens += at - sequence * length;
  });
  return batch;
}

function place(batch: PackedBatch, { row, trunk, branches, predictTrunk }: Example, start: number): number {
  const put = (at: number, token: number, position: number, branch: number) => {
    batch.ids[at] = token;
    batch.positions[at] = position;
    batch.rows[at] = row;
    batch.branches[at] = branch;
  };
  let at = start;
  trunk.forEach((token, i) => {
    if (predictTrunk && i > 0) batch.targets.push({ from: at - 1, token, row, branch: 0 });
    put(at++, token, i, 0);
  });
  const fork = at - 1;
  branches.forEach((tokens, b) => {
    tokens.forEach((token, i) => {
      batch.targets.push({ from: i === 0 ? fork : at - 1, token, row, branch: b + 1 });
      put(at++, token, trunk.length + i, b + 1);
    });
  });
  return at;
}

/** What is added to an attention score that must not count: far below any score, yet finite. */
const masked = -1e9;

/**
 * The additive attention mask of a packed batch, [B, T, T] row-major: 0 where token j (second axis) sees i (third).
 * @param window a token sees only that many positions, itself counted (sliding-window attention)
 */
export function attentionMask(batch: PackedBatch, window = Number.POSITIVE_INFINITY): Float32Array {
  const { size, length, rows, branches, positions } = batch;
  const mask = new Float32Array(size * length * length).fill(masked);
  for (let b = 0; b < size; b++) {
    const start = b * length;
    for (let j = 0; j < length; j++) {
      const to = start + j;
      const out = (start + j) * length;
      mask[out + j] = 0;
      if (rows[to] === -1) continue;
      for (let i = j - 1; i >= 0 && rows[start + i] === rows[to]; i--) {
        const from = start + i;
        const sees = branches[from] === 0 || branches[from] === branches[to];
        if (sees && (positions[to] as number) - (positions[from] as number) < window) mask[out + i] = 0;
      }
    }
  }
  return mask;
}
