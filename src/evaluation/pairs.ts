// Preference pairs as models say them: log-likelihoods of a chosen and a rejected answer, and which of two models prefers rightly.
import { type Example, pairBranches } from '../data/index.ts';
import { type Likelihoods, type RowLikelihood, rowsOf } from './likelihoods.ts';

/** What a model says of the two answers of a row, in nats, each summed over its tokens. */
export interface PairLikelihood {
  readonly chosen: number;
  readonly rejected: number;
}

/** Of a row of format preference. */
export const pairLikelihood = ({ logLikelihood }: Pick<RowLikelihood, 'logLikelihood'>): PairLikelihood => ({
  chosen: logLikelihood[pairBranches.chosen]!,
  rejected: logLikelihood[pairBranches.rejected]!,
});

/** What a model says of pairs, by row. */
export interface PairReference {
  get(row: number): PairLikelihood;
}

/** They lie outside of JavaScript's heap. @param pairs of the examples' rows; what is not among them is not a number */
export function pairReference(
  examples: readonly Example[],
  pairs: Iterable<readonly [row: number, pair: PairLikelihood]>,
): PairReference {
  const chosen = new Float64Array(rowsOf(examples)).fill(Number.NaN);
  const rejected = chosen.slice();
  for (const [row, pair] of pairs) {
    chosen[row] = pair.chosen;
    rejected[row] = pair.rejected;
  }
  return { get: (row) => ({ chosen: chosen[row]!, rejected: rejected[row]! }) };
}

/** What a model says of the rows of format preference. */
export function* pairLikelihoods(likelihoods: Likelihoods): Generator<[row: number, pair: PairLikelihood]> {
  for (const found of likelihoods) yield [found.row, pairLikelihood(found)];
}

/**
 * Whether the chosen answer stands higher against the rejected one than in the reference, as DPO's reward has it: 1, 0, or one
 * half where both stand as they did.
 */
export function prefersOver(own: PairLikelihood, reference: PairLikelihood): number {
  const gained = own.chosen - reference.chosen - (own.rejected - reference.rejected);
  return gained > 0 ? 1 : gained === 0 ? 0.5 : 0;
}
