import { Random } from '../../../src/data/index.ts';

/** How many normal values are drawn; longer tensors repeat them, each from a place of its own. */
const poolSize = 1 << 18;

/** Standard normal values that follow from a seed alone (Box-Muller over xoshiro128**). */
export class NormalPool {
  readonly #values = new Float32Array(poolSize);
  readonly #places: Random;

  constructor(seed: number) {
    const random = new Random(seed);
    const uniform = () => (random.next() + 0.5) / 2 ** 32;
    for (let i = 0; i < poolSize; i += 2) {
      const radius = Math.sqrt(-2 * Math.log(uniform()));
      const angle = 2 * Math.PI * uniform();
      this.#values[i] = radius * Math.cos(angle);
      this.#values[i + 1] = radius * Math.sin(angle);
    }
    this.#places = new Random(seed, 1);
  }

  /** `count` values of the given standard deviation. */
  take(count: number, deviation: number): Float32Array {
    const taken = new Float32Array(count);
    let from = this.#places.below(poolSize);
    for (let done = 0; done < count; from = 0) {
      const part = this.#values.subarray(from, Math.min(poolSize, from + count - done));
      taken.set(part, done);
      done += part.length;
    }
    return taken.map((value) => value * deviation);
  }
}
