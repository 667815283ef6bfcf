// The bound on what all rows of a stage take in memory.
import { badData } from '../api/index.ts';
import { rowBytes } from './row-size.ts';

/** What a row takes beside its texts, until it is tokenised: measured, about. A file of some kilobytes may hold millions of them. */
const overhead = 600;
/** What the rows of a stage may take, whatever memory it was given. */
const usual = 2 ** 31;
/** Of the stage's memory, which bounds weights and states and no rows: large sets are not to be refused. */
const share = 2;

/** Counts the rows that a stage holds. */
export class RowRoom {
  readonly #path: string;
  readonly #most: number;
  #rows = 0;
  #bytes = 0;

  /** @param memory bytes that the stage was given */
  constructor(path: string, memory = 0, always = usual) {
    this.#path = path;
    this.#most = Math.max(always, share * memory);
  }

  /** @throws OffsiteError BadData where the rows up to this one take too much */
  add(row: unknown): void {
    this.#rows++;
    this.#bytes += overhead + rowBytes(row);
    if (this.#bytes > this.#most)
      throw badData(
        `${this.#path}: its first ${this.#rows} rows would take more than ${this.#most} bytes of memory; give fewer rows or raise spec.engine.memory`,
      );
  }
}
