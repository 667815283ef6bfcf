// The mean of changes that are shortened to one norm.

import type { Changes, Method } from './changes.ts';
import { byWeight, combination, shares, taken } from './combination.ts';
import { median, short } from './statistics.ts';

/**
 * Norm bounding (Sun et al., arXiv 1911.07963): each change g times min(1, M / |g|), then the mean by weight. No party can pull
 * further than M times its weight.
 * @param most M; the median of the norms when absent
 */
export const normClip = (changes: Changes, most?: number): Method => ({
  first: [],
  prepare(norms) {
    const factors = clipFactors(norms.whole(), most);
    const coefficients = shares(changes.weights).map((share, party) => share * factors[party]!);
    return combination(
      () => coefficients,
      byWeight(changes, (_, party) => ({ ...taken, reason: clipped(factors[party]!) })),
    );
  },
});

/** By how much each is shortened. */
export function clipFactors(norms: readonly number[], most: number = median(norms)): number[] {
  return norms.map((norm) => (norm > most ? most / norm : 1));
}

export const clipped = (factor: number): string | undefined =>
  factor === 1 ? undefined : `shortened to ${short(factor)} of its length`;
