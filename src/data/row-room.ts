// The bounds on what all rows of a stage take in memory, as texts and as tokens.
import { getHeapStatistics } from 'node:v8';
import { resourceLimits } from 'node:worker_threads';
import { badData } from '../api/index.ts';
import { type Example, tokenCount } from './example.ts';
import { heapBytes } from './row-size.ts';

/** What a row takes beside its texts, until it is tokenised: measured, about. A file of some kilobytes may hold millions of them. */
const overhead = 600;
/** What the rows of a stage may take, whatever memory it was given, where the heap has it. */
const usual = 2 ** 31;
/** Of the stage's memory, which bounds weights and states and no rows: large sets are not to be refused. */
const share = 2;
/** Of this thread's heap, where both lie: of what may stay in it, beside which Node counts room for young objects. */
const ofHeap = { rows: 1 / 2, tokens: 3 / 8 };
/** What a tokenised row takes, measured: itself, and each list of tokens with its place; a part of a text is a list of two. */
const ofExample = { row: 176, list: 64, token: 8, span: 76 };

const heapOfThread = (): number =>
  getHeapStatistics().heap_size_limit - (resourceLimits.maxYoungGenerationSizeMb ?? 0) * 2 ** 20;

/** Of a stage's room for tokens, what a set of hidden rows has: it has two of them at most, and what one takes says nothing of the other. */
const shareOfHidden = 1 / 2;

const moreHeap = 'give fewer rows, or the process a larger heap (NODE_OPTIONS=--max-old-space-size)';

/** Counts the rows that a stage holds. */
export class RowRoom {
  readonly #path: string;
  readonly #most: number;
  readonly #cure: string;
  #rows = 0;
  #bytes = 0;

  /**
   * @param memory bytes that the stage was given
   * @param heap bytes that this thread's heap may have
   */
  constructor(path: string, { memory = 0, always = usual, heap = heapOfThread() } = {}) {
    const [asked, there] = [Math.max(always, share * memory), Math.floor(ofHeap.rows * heap)];
    this.#path = path;
    this.#most = Math.min(asked, there);
    this.#cure = asked <= there ? 'give fewer rows or raise spec.engine.memory' : moreHeap;
  }

  /** @throws OffsiteError BadData where the rows up to this one take too much */
  add(row: unknown): void {
    this.#rows++;
    this.#bytes += overhead + heapBytes(row);
    if (this.#bytes > this.#most)
      throw badData(
        `${this.#path}: its first ${this.#rows} rows would take more than ${this.#most} bytes of memory; ${this.#cure}`,
      );
  }
}

/** Counts the tokens of all rows that a stage holds, whichever set they are of. */
export class TokenRoom {
  readonly #most: number;
  #held = 0;

  constructor(heap = heapOfThread()) {
    this.#most = Math.floor(ofHeap.tokens * heap);
  }

  /** What was held of rows is let go of, all of it. */
  empty(): void {
    this.#held = 0;
  }

  /**
   * A tokenised row. Nothing that a tokenizer made of rows is told, nor how many there were: it could make any word of theirs a number.
   * @param path of the set that it is of, for messages
   * @throws OffsiteError BadData where they take too much by now
   */
  add(path: string, example: Example): void {
    this.#held += bytesOf(example);
    if (this.#held > this.#most)
      throw badData(
        `${path}: this stage's rows take more than the ${this.#most} bytes that it has for tokens; ${moreHeap}; where they are few or short, look at the tokenizer`,
      );
  }

  /**
   * A tokenised row of a set that is hidden, held against its own share of the room: were it the sum, one row could tip it, and that the
   * run ends would tell of that row with certainty, whatever epsilon is.
   * @param where the row, for messages
   * @param rows of its set
   * @throws OffsiteError BadData where it takes more than its share
   */
  addHidden(where: string, example: Example, rows: number): void {
    const most = Math.floor((shareOfHidden * this.#most) / rows);
    if (bytesOf(example) > most)
      throw badData(
        `${where}: takes more than the ${most} bytes that each of ${rows} hidden rows has for tokens; lower maxLength, shorten the row, ${moreHeap}; where it is short, look at the tokenizer`,
      );
  }
}

/** Of JavaScript's heap. What is packed of it lies outside. */
function bytesOf(example: Example): number {
  const { branches, starts = [], spans = [] } = example;
  const { row, list, token, span } = ofExample;
  return (
    row + list * (1 + branches.length) + token * (tokenCount(example) + starts.length) + span * spans.length
  );
}

/** What a token takes in a batch, with its target and padding, outside of the heap. */
const packedBytes = 32;

const mostPacked = (memory: number): number => Math.max(usual, share * memory);
const packed = (examples: readonly Example[]): number =>
  packedBytes * examples.reduce((sum, example) => sum + tokenCount(example), 0);

/** Counts what rows take laid out for scoring. */
export class PackedRoom {
  #held = 0;

  /** What was laid out is let go of, all of it. */
  empty(): void {
    this.#held = 0;
  }

  /**
   * Rows that are to be laid out. Nothing that a tokenizer made of them is told, nor which of them it is.
   * @param path of the set that they are of, for messages
   * @param examples what lies in sequences: a prompt once for each that its choices need
   * @param memory bytes that the stage was given
   * @throws OffsiteError BadData where all take too much by now
   */
  add(path: string, examples: readonly Example[], memory: number): void {
    const most = mostPacked(memory);
    this.#held += packed(examples);
    if (this.#held > most)
      throw badData(
        `${path}: this stage's rows take more than ${most} bytes laid out for scoring, where a prompt stands in each sequence that its choices need; give fewer rows or shorter prompts, or raise spec.engine.memory`,
      );
  }

  /**
   * Rows of a set that is hidden, as `TokenRoom.addHidden` has it.
   * @param byRow of each row what lies in sequences
   * @param rows of its set
   * @throws OffsiteError BadData where one takes more than its share
   */
  addHidden(
    path: string,
    byRow: readonly (readonly Example[])[],
    { rows, memory }: { rows: number; memory: number },
  ): void {
    const most = Math.floor(mostPacked(memory) / rows);
    for (const parts of byRow)
      if (packed(parts) > most)
        throw badData(
          `${path}: row ${parts[0]!.row + 1}: takes more than the ${most} bytes that each of ${rows} hidden rows has laid out for scoring, where a prompt stands in each sequence that its choices need; give fewer rows or choices, or raise spec.engine.memory`,
        );
  }
}

/** One stage runs on a thread, and holds what it has tokenised, and laid out as tasks, until it empties these. */
export const tokensOfThread = new TokenRoom();
export const packedOfThread = new PackedRoom();
