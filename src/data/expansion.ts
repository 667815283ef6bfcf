// The bound on what the shards of a data set decompress to, all together.
import { badData } from '../api/index.ts';
import { mostExpansion, rowBytes } from './row-size.ts';

/** What one file may come to is allowed for all of them, too. */
const alwaysAllowed = 2 ** 30;

/** What the rows of a directory's shards come to: each is bounded by itself, and there may be any number. */
export class Expansion {
  readonly #shards: number;
  readonly #most: number;
  #bytes = 0;

  /** @param sizes of the files, in bytes as they lie there */
  constructor(sizes: readonly number[], always = alwaysAllowed) {
    this.#shards = sizes.length;
    const packed = sizes.reduce((sum, size) => sum + size, 0);
    this.#most = Math.max(always, mostExpansion * packed);
  }

  /** @throws OffsiteError BadData with file and row where they come to too much */
  add(row: unknown, where: string): void {
    if (this.#shards === 1) return;
    this.#bytes += rowBytes(row);
    if (this.#bytes > this.#most)
      throw badData(
        `${where}: the directory's ${this.#shards} files expand to more than ${this.#most} bytes up to here; name one of them, if that is right`,
      );
  }
}
