// The bounds on what all rows of a stage take in memory, as texts and as tokens.
import { getHeapStatistics } from 'node:v8';
import { badData, badModel } from '../api/index.ts';
import { type Example, tokenCount } from './example.ts';
import { rowBytes } from './row-size.ts';

/** What a row takes beside its texts, until it is tokenised: measured, about. A file of some kilobytes may hold millions of them. */
const overhead = 600;
/** What the rows of a stage may take, whatever memory it was given, where the heap has it. */
const usual = 2 ** 31;
/** Of the stage's memory, which bounds weights and states and no rows: large sets are not to be refused. */
const share = 2;
/** Of this thread's heap, where both lie. */
const ofHeap = { rows: 1 / 2, tokens: 3 / 8 };
const tokenBytes = 8;

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
  constructor(path: string, { memory = 0, always = usual, heap = getHeapStatistics().heap_size_limit } = {}) {
    const [asked, there] = [Math.max(always, share * memory), Math.floor(ofHeap.rows * heap)];
    this.#path = path;
    this.#most = Math.min(asked, there);
    this.#cure = asked <= there ? 'give fewer rows or raise spec.engine.memory' : moreHeap;
  }

  /** @throws OffsiteError BadData where the rows up to this one take too much */
  add(row: unknown): void {
    this.#rows++;
    this.#bytes += overhead + rowBytes(row);
    if (this.#bytes > this.#most)
      throw badData(
        `${this.#path}: its first ${this.#rows} rows would take more than ${this.#most} bytes of memory; ${this.#cure}`,
      );
  }
}

/** No tokenizer of the field gives more tokens for a byte of text, beside those that a row has whatever its text is. */
const tokensOfByte = 4;

/** Counts the tokens of the rows that a stage holds. */
export class TokenRoom {
  readonly #path: string;
  readonly #most: number;
  #rows = 0;
  #tokens = 0;
  #rowBytes = 0;

  constructor(path: string, heap = getHeapStatistics().heap_size_limit) {
    this.#path = path;
    this.#most = Math.floor((ofHeap.tokens * heap) / tokenBytes);
  }

  /** @throws OffsiteError where the rows up to this one have too many: BadModel where no text has so many, else BadData */
  add(row: unknown, example: Example): void {
    this.#rows++;
    this.#tokens += tokenCount(example);
    // An answer may stand with its whole prompt.
    this.#rowBytes += rowBytes(row) * Math.max(1, example.branches.length);
    if (this.#tokens <= this.#most) return;
    const message = `${this.#path}: its first ${this.#rows} rows come to more than ${this.#most} tokens, which is what this process holds`;
    if (this.#tokens > tokensOfByte * this.#rowBytes)
      throw badModel(
        `${message}, ${(this.#tokens / this.#rowBytes).toFixed(0)} for a byte of them: look at the tokenizer`,
      );
    throw badData(`${message}; ${moreHeap}`);
  }
}
