// The squared distances between the parties' whole changes, summed directly in float64: no difference of large numbers.
import type { Measure, Piece } from './changes.ts';

export class Distances implements Measure {
  readonly #parties: number;
  readonly #squares: Float64Array;

  constructor(parties: number) {
    this.#parties = parties;
    this.#squares = new Float64Array(parties * parties);
  }

  add({ changes }: Piece): void {
    for (const [a, change] of changes.entries()) {
      for (const [i, sum] of squaredDistances(change, changes.slice(a + 1)).entries()) {
        const b = a + 1 + i;
        this.#squares[a * this.#parties + b]! += sum;
        this.#squares[b * this.#parties + a]! += sum;
      }
    }
  }

  squared(a: number, b: number): number {
    return this.#squares[a * this.#parties + b]!;
  }
}

/** Of one from each of the others. Four sums at a time: each of them alone would wait for its last addition. */
export function squaredDistances(x: Float64Array, others: readonly Float64Array[]): Float64Array {
  const sums = new Float64Array(others.length);
  for (let at = 0; at < others.length; at += 4) {
    const [a, b = a, c = a, d = a] = others.slice(at, at + 4) as [Float64Array];
    sums.set(fourDistances(x, a, b, c, d).subarray(0, others.length - at), at);
  }
  return sums;
}

function fourDistances(
  x: Float64Array,
  a: Float64Array,
  b: Float64Array,
  c: Float64Array,
  d: Float64Array,
): Float64Array {
  let [ofA, ofB, ofC, ofD] = [0, 0, 0, 0];
  for (let i = 0; i < x.length; i++) {
    const value = x[i]!;
    const fromA = value - a[i]!;
    const fromB = value - b[i]!;
    const fromC = value - c[i]!;
    const fromD = value - d[i]!;
    ofA += fromA * fromA;
    ofB += fromB * fromB;
    ofC += fromC * fromC;
    ofD += fromD * fromD;
  }
  return Float64Array.of(ofA, ofB, ofC, ofD);
}
