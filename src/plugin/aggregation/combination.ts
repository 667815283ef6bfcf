// Sums of the parties' changes, each times a number: what mean, linear and all methods that choose parties come to.
import type { Changes, Merging, Method, Verdict } from './changes.ts';

export const taken: Verdict = { taken: true };

/** @param coefficients of the parties at a place */
export function combination(
  coefficients: (place: number) => readonly number[],
  verdict: Merging['verdict'],
): Merging {
  return {
    byElement: false,
    merge({ place, changes }, into) {
      into.fill(0);
      const factors = coefficients(place);
      for (const [party, change] of changes.entries()) {
        const factor = factors[party]!;
        if (factor === 0) continue;
        for (let i = 0; i < into.length; i++) into[i]! += factor * change[i]!;
      }
    },
    verdict,
  };
}

/** The weights so that they add up to 1, of some parties only where `of` says which. */
export function shares(weights: readonly number[], of: (party: number) => boolean = () => true): number[] {
  const counted = weights.map((weight, party) => (of(party) ? weight : 0));
  const total = counted.reduce((a, b) => a + b, 0);
  return counted.map((weight) => (total === 0 ? 0 : weight / total));
}

/** A verdict for parties of weight 0. */
export const byWeight = (
  { weights }: Pick<Changes, 'weights'>,
  otherwise: Merging['verdict'] = () => taken,
) =>
  ((place, party) =>
    weights[party] === 0
      ? { taken: false, reason: 'its weight is 0' }
      : otherwise(place, party)) satisfies Merging['verdict'];

/** The mean of all changes by their weights (FedAvg, arXiv 1602.05629, but for who says the weights). */
export const mean = (changes: Changes): Method => {
  const coefficients = shares(changes.weights);
  return { first: [], prepare: () => combination(() => coefficients, byWeight(changes)) };
};

/** The sum of all changes by their weights: task arithmetic (arXiv 2212.04089). */
export const linear = (changes: Changes): Method => ({
  first: [],
  prepare: () => combination(() => changes.weights, byWeight(changes)),
});
