// What is kept where graphs run, from run to run, within a budget: weights that stay as they are.
import type { Held, Tensor } from './tensor.ts';

/** Moves tensors to where graphs run. */
export interface Keeping {
  hold(tensor: Tensor): Promise<Held>;
  free(held: Held): void;
}

/** Tensors by key, of which those that were used longest ago go first. */
export class Residence {
  readonly #keeping: Keeping;
  readonly #kept = new Map<string, { held: Held; bytes: number }>();
  #free: number;

  /** @param memory bytes of all that is kept */
  constructor(keeping: Keeping, memory: number) {
    this.#keeping = keeping;
    this.#free = memory;
  }

  /** What is kept under a key. */
  get(key: string): Held | undefined {
    const found = this.#kept.get(key);
    if (found === undefined) return undefined;
    this.#kept.delete(key);
    this.#kept.set(key, found);
    return found.held;
  }

  /**
   * Keeps a tensor whose memory may be another's afterwards, in the place of others where there is no room.
   * @param needed keys that stay
   * @returns undefined where there is no room but that of `needed`
   */
  async keep(key: string, tensor: Tensor, needed: ReadonlySet<string>): Promise<Held | undefined> {
    const bytes = tensor.data.byteLength;
    for (const [other, { held, bytes: freed }] of this.#kept) {
      if (bytes <= this.#free) break;
      if (needed.has(other)) continue;
      this.#kept.delete(other);
      this.#keeping.free(held);
      this.#free += freed;
    }
    if (bytes > this.#free) return undefined;
    const held = await this.#keeping.hold(tensor);
    this.#kept.set(key, { held, bytes });
    this.#free -= bytes;
    return held;
  }
}
