// Coordinate-wise median and trimmed mean: of each weight the middle values count.

import type { Merging, Method, Piece } from './changes.ts';
import { taken } from './combination.ts';

/** The coordinate-wise median (Yin et al., arXiv 1803.01498): withstands attackers while they are fewer than half. */
export const coordinateMedian = (parties: number): Method => trimmed(parties, (parties - 1) >> 1);

/** The mean without the `trim` lowest and highest values of each weight (the same paper): withstands `trim` attackers. */
export const trimmedMean = (parties: number, trim: number): Method => trimmed(parties, trim);

function trimmed(parties: number, trim: number): Method {
  const values = new Float64Array(parties);
  const merging: Merging = {
    byElement: true,
    merge({ changes }: Piece, into, counted) {
      for (let i = 0; i < into.length; i++) {
        for (let party = 0; party < parties; party++) values[party] = changes[party]![i]!;
        sort(values);
        let sum = 0;
        for (let j = trim; j < parties - trim; j++) sum += values[j]!;
        into[i] = sum / (parties - 2 * trim);
        if (counted !== undefined) {
          const [low, high] = [values[trim]!, values[parties - trim - 1]!];
          for (let party = 0; party < parties; party++) {
            const value = changes[party]![i]!;
            if (value >= low && value <= high) counted[party]!++;
          }
        }
      }
    },
    verdict: () => taken,
  };
  return { first: [], prepare: () => merging };
}

/** Ascending, in place; of so few that insertion is fastest. */
export function sort(values: Float64Array): void {
  for (let i = 1; i < values.length; i++) {
    const value = values[i]!;
    let j = i;
    for (; j > 0 && values[j - 1]! > value; j--) values[j] = values[j - 1]!;
    values[j] = value;
  }
}
