// Each party's largest elements: the exact threshold over its whole change, found in two passes without sorting it.
import type { Changes, Measure, Piece } from './changes.ts';

/** An element's size as float32, whose bits are in the order of the sizes: 16 of them, then the other 15. */
const lowBits = 15;
const lowMask = (1 << lowBits) - 1;
const highCount = 1 << 16;

/**
 * Counts elements by the higher bits of their size, then, in a second pass, those of the bin in which each party's threshold
 * lies by the lower ones. Sizes are those of the elements as float32.
 */
export class Largest implements Measure {
  readonly #wanted: number;
  readonly #high: readonly Float64Array[];

  /** @param share of the elements that are kept, at least one of them */
  constructor({ parties, size }: Pick<Changes, 'parties' | 'size'>, share: number) {
    this.#wanted = Math.min(size, Math.max(1, Math.round(share * size)));
    this.#high = parties.map(() => new Float64Array(highCount));
  }

  add({ changes }: Piece): void {
    for (const [party, change] of changes.entries()) countHigh(change, this.#high[party]!);
  }

  /** Each party's least size that is kept: as many elements as wanted have it or a larger one, more only where sizes are equal. */
  thresholds(changes: Changes): number[] {
    const bins = this.#high.map((counts) => fromTop(counts, this.#wanted));
    const low = bins.map(() => new Float64Array(lowMask + 1));
    for (const piece of changes.pieces()) {
      for (const [party, change] of piece.changes.entries()) countLow(change, low[party]!, bins[party]!.bin);
    }
    return bins.map(({ bin, left }, party) => {
      bits[0] = (bin << lowBits) | fromTop(low[party]!, left).bin;
      return float[0]!;
    });
  }
}

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

function sizeOf(value: number): number {
  float[0] = value;
  return bits[0]! & 0x7fffffff;
}

function countHigh(change: Float64Array, counts: Float64Array): void {
  for (let i = 0; i < change.length; i++) counts[sizeOf(change[i]!) >>> lowBits]!++;
}

function countLow(change: Float64Array, counts: Float64Array, bin: number): void {
  for (let i = 0; i < change.length; i++) {
    const size = sizeOf(change[i]!);
    if (size >>> lowBits === bin) counts[size & lowMask]!++;
  }
}

/** The bin in which the `wanted`-th element from the top lies, and how many of it are wanted. */
function fromTop(counts: Float64Array, wanted: number): { bin: number; left: number } {
  let left = wanted;
  for (let bin = counts.length - 1; bin > 0; bin--) {
    if (left <= counts[bin]!) return { bin, left };
    left -= counts[bin]!;
  }
  return { bin: 0, left };
}

/** 1 where an element is kept, else 0; what is no change never is. A number, since a branch on it could not be foretold. */
export const isKept = (value: number, threshold: number): number =>
  Number(Math.abs(Math.fround(value)) >= threshold) & Number(value !== 0);
