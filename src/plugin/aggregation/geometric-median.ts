// The geometric median of the parties' whole changes, by smoothed Weiszfeld steps.

import type { Changes, Method } from './changes.ts';
import { byWeight, combination, shares } from './combination.ts';
import { Distances } from './distances.ts';
import { short } from './statistics.ts';

/** Below this distance a change counts no more: the smoothing of RFA. */
const smallest = 1e-6;

/** The point stands still where no party's share changes by more; and how many steps that may take, n^2 operations each. */
const still = 1e-13;
const mostSteps = 10_000;

/**
 * The point of the least weighted sum of distances (RFA, Pillutla et al., arXiv 1912.13445): withstands attackers while they
 * have less than half of the weight. Every point on the way is a combination of the changes, so their distances are all that
 * it takes.
 * @param iterations steps from the mean; as many as it takes to stand still when absent: where attackers are nearly half, each
 * step leaves them nearly all of the pull that they had
 */
export function geometricMedian(changes: Changes, iterations?: number): Method {
  const { parties, weights } = changes;
  const distances = new Distances(parties.length);
  return {
    first: [distances],
    prepare() {
      let coefficients = shares(weights);
      for (let step = 0; step < (iterations ?? mostSteps); step++) {
        const before = coefficients;
        const away = distancesTo(before, distances);
        coefficients = shares(weights.map((weight, party) => weight / Math.max(smallest, away[party]!)));
        if (iterations === undefined && coefficients.every((c, i) => Math.abs(c - before[i]!) <= still))
          break;
      }
      const verdict = byWeight(changes, (_, party) => ({
        taken: true,
        reason: `counts ${short(100 * coefficients[party]!)} %`,
      }));
      return combination(() => coefficients, verdict);
    },
  };
}

/** Of each party from the combination, whose coefficients add up to 1: |z - g_i|^2 = sum_j c_j D_ij - 1/2 sum_jk c_j c_k D_jk. */
function distancesTo(coefficients: readonly number[], distances: Distances): number[] {
  const mean = coefficients.map((_, i) =>
    coefficients.reduce((sum, c, j) => sum + c * distances.squared(i, j), 0),
  );
  const within = coefficients.reduce((sum, c, i) => sum + c * mean[i]!, 0) / 2;
  return mean.map((squared) => Math.sqrt(Math.max(0, squared - within)));
}
