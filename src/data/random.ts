// Seeded pseudo-random numbers, so that equal seeds give equal results on any machine.

const mask64 = (1n << 64n) - 1n;

/**
 * xoshiro128** 1.1 (Blackman and Vigna, prng.di.unimi.it), seeded by SplitMix64 from a seed and a stream number, so that
 * streams of one seed do not overlap in practice. `state` is the whole of it.
 */
export class Random {
  readonly state: [number, number, number, number];

  constructor(seed: number, stream = 0) {
    let mixer = (BigInt(seed) ^ splitMix64(BigInt(stream))) & mask64;
    const words = Array.from({ length: 2 }, () => {
      const word = splitMix64(mixer);
      mixer = (mixer + 0x9e3779b97f4a7c15n) & mask64;
      return word;
    });
    const [a, b] = words as [bigint, bigint];
    this.state = [low(a), high(a), low(b), high(b)];
  }

  static from(state: readonly [number, number, number, number]): Random {
    const random = new Random(0);
    random.state.splice(0, 4, ...state);
    return random;
  }

  /** The next 32 random bits, as a number from 0 to 2^32 - 1. */
  next(): number {
    const s = this.state;
    const result = Math.imul(rotate(Math.imul(s[1], 5), 7), 9) >>> 0;
    const shifted = s[1] << 9;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate(s[3], 11);
    return result;
  }

  /** A whole number from 0 to `bound` - 1, each equally likely. */
  below(bound: number): number {
    const fair = 2 ** 32 - (2 ** 32 % bound);
    let value = this.next();
    while (value >= fair) value = this.next();
    return value % bound;
  }

  /** Puts the items into a random order, in place (Fisher-Yates). */
  shuffle<T extends { length: number; [index: number]: unknown }>(items: T): T {
    for (let i = items.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      const kept = items[i];
      items[i] = items[j];
      items[j] = kept;
    }
    return items;
  }
}

const rotate = (x: number, by: number) => (x << by) | (x >>> (32 - by));
const low = (x: bigint) => Number(x & 0xffffffffn) | 0;
const high = (x: bigint) => Number(x >> 32n) | 0;

function splitMix64(x: bigint): bigint {
  let z = (x + 0x9e3779b97f4a7c15n) & mask64;
  z = ((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n) & mask64;
  z = ((z ^ (z >> 27n)) * 0x94d049bb133111ebn) & mask64;
  return z ^ (z >> 31n);
}
