// Preference pairs as models say them: log-likelihoods of a chosen and a rejected answer, and which of two models prefers rightly.
import { pairBranches } from '../data/index.ts';
import type { RowLikelihood } from './score.ts';

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

/**
 * Whether the chosen answer stands higher against the rejected one than in the reference, as DPO's reward has it: 1, 0, or one
 * half where both stand as they did.
 */
export function prefersOver(own: PairLikelihood, reference: PairLikelihood): number {
  const gained = own.chosen - reference.chosen - (own.rejected - reference.rejected);
  return gained > 0 ? 1 : gained === 0 ? 0.5 : 0;
}
