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
    for (let a = 0; a < this.#parties; a++) {
      for (let b = a + 1; b < this.#parties; b++) {
        const sum = squaredDistance(changes[a]!, changes[b]!);
        this.#squares[a * this.#parties + b]! += sum;
        this.#squares[b * this.#parties + a]! += sum;
      }
    }
  }

  squared(a: number, b: number): number {
    return this.#squares[a * this.#parties + b]!;
  }
}

export function squaredDistance(x: Float64Array, y: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) {
    const difference = x[i]! - y[i]!;
    sum += difference * difference;
  }
  return sum;
}
