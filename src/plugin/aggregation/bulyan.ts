// Bulyan: Krum chooses parties one by one, then of each weight the values nearest to the median count.

import type { Changes, Method, Piece } from './changes.ts';
import { taken } from './combination.ts';
import { Distances } from './distances.ts';
import { bySum, krumScores } from './krum.ts';
import { isWithin, sort } from './order-statistics.ts';

/**
 * Bulyan (El Mhamdi et al., arXiv 1802.07927): n - 2f changes chosen by Krum, each time among those that are left; then of each
 * weight the mean of the n - 4f values nearest to their median.
 */
export function bulyan({ parties }: Changes, attackers: number): Method {
  const distances = new Distances(parties.length);
  return {
    first: [distances],
    prepare() {
      const selected = select(parties.length, distances, attackers);
      const isSelected = new Set(selected);
      const nearest = selected.length - 2 * attackers;
      const values = new Float64Array(selected.length);
      return {
        byElement: true,
        merge({ changes }: Piece, into, counted) {
          for (let i = 0; i < into.length; i++) {
            for (let j = 0; j < selected.length; j++) values[j] = changes[selected[j]!]![i]!;
            sort(values);
            const from = nearestRun(values, nearest);
            let sum = 0;
            for (let j = from; j < from + nearest; j++) sum += values[j]!;
            into[i] = sum / nearest;
            if (counted === undefined) continue;
            const low = values[from]!;
            const high = values[from + nearest - 1]!;
            for (let j = 0; j < selected.length; j++) {
              const party = selected[j]!;
              counted[party]! += isWithin(changes[party]![i]!, low, high);
            }
          }
        },
        verdict: (_, party) =>
          isSelected.has(party)
            ? taken
            : { taken: false, reason: `is none of the ${selected.length} that Krum chose one by one` },
      };
    },
  };
}

/** The parties in the order of their indices. */
function select(parties: number, distances: Distances, attackers: number): number[] {
  const left = Array.from({ length: parties }, (_, party) => party);
  const selected: number[] = [];
  while (selected.length < parties - 2 * attackers) {
    const [best] = bySum(krumScores(left, distances, attackers));
    selected.push(...left.splice(best!, 1));
  }
  return selected.sort((a, b) => a - b);
}

/** Of ascending values, where the `count` nearest to their median begin: these stand side by side. */
function nearestRun(values: Float64Array, count: number): number {
  const half = values.length >> 1;
  const middle = values.length % 2 === 1 ? values[half]! : (values[half - 1]! + values[half]!) / 2;
  let from = 0;
  // A run moves on while what it gains is nearer than what it leaves; of equal values, whatever is beyond them.
  while (
    from + count < values.length &&
    (values[from + count] === values[from] ||
      Math.abs(values[from + count]! - middle) < Math.abs(values[from]! - middle))
  )
    from++;
  return from;
}
