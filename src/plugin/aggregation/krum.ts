// Krum and multi-Krum: whole changes that lie near most others.

import { badSpec } from '../../api/index.ts';
import type { Changes, Merging, Method } from './changes.ts';
import { byWeight, combination, shares, taken } from './combination.ts';
import { Distances } from './distances.ts';
import { short } from './statistics.ts';

/**
 * Krum (Blanchard et al., arXiv 1703.02757): the change with the least sum of squared distances to its n - f - 2 nearest others.
 */
export const krum = (changes: Changes, attackers: number): Method => nearest(changes, attackers, 1);

/**
 * The same paper's multi-Krum: the mean, by weight, of the `keep` changes with the least sums. One whose weight is 0 is near or
 * far to the others as ever, and is never one of these; nobody farther than the n - f nearest of all takes its place.
 */
export const multiKrum = (
  changes: Changes,
  attackers: number,
  keep: number = changes.parties.length - attackers,
): Method => nearest(changes, attackers, keep);

function nearest({ parties, weights }: Changes, attackers: number, keep: number): Method {
  const distances = new Distances(parties.length);
  return {
    first: [distances],
    prepare() {
      const all = parties.map((_, party) => party);
      const sums = krumScores(all, distances, attackers);
      const nearest = bySum(sums).slice(0, parties.length - attackers);
      const counted = nearest.filter((party) => weights[party]! > 0);
      if (counted.length === 0)
        throw badSpec(
          `spec.adapters: none of the ${nearest.length} that lie nearest to the others has a weight above 0, and no other may be taken`,
        );
      const selected = new Set(counted.slice(0, keep));
      const coefficients = shares(weights, (party) => selected.has(party));
      return combination(() => coefficients, byWeight({ weights }, verdictOf(selected, sums, keep)));
    },
  };
}

const verdictOf =
  (selected: ReadonlySet<number>, sums: readonly number[], keep: number): Merging['verdict'] =>
  (_, party) => {
    if (selected.has(party)) return taken;
    const most = Math.max(...[...selected].map((one) => sums[one]!));
    return {
      taken: false,
      reason: `its squared distances to its nearest come to ${short(sums[party]!)}, ${keep === 1 ? "the chosen one's" : 'those of the chosen at most'} to ${short(most)}`,
    };
  };

/** Indices from the least; of equal ones the first party's. */
export const bySum = (sums: readonly number[]): number[] =>
  sums.map((_, i) => i).sort((a, b) => sums[a]! - sums[b]! || a - b);

/**
 * For each of some parties, the sum of its squared distances to its nearest others among them: n - f - 2 of them, one at least.
 * @param among their indices
 */
export function krumScores(
  among: readonly number[],
  distances: Pick<Distances, 'squared'>,
  attackers: number,
): number[] {
  const near = Math.max(1, among.length - attackers - 2);
  return among.map((party) =>
    among
      .filter((other) => other !== party)
      .map((other) => distances.squared(party, other))
      .sort((a, b) => a - b)
      .slice(0, near)
      .reduce((a, b) => a + b, 0),
  );
}
