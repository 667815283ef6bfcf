// Preference pairs as a training objective: each row's two answers lie in one batch, and their log-likelihoods give its slopes.
import { pairBranches, type Targets } from '../data/index.ts';
import {
  type Likelihoods,
  type PairLikelihood,
  type PairReference,
  pairLikelihood,
} from '../evaluation/index.ts';
import type { Objective } from './objective.ts';
import type { Pair, PairLoss } from './pair-losses.ts';

/** What a model said of the rows before it was trained, by row; undefined for losses that ask for nothing. */
export type References = PairReference | undefined;

/** The mean of a loss over the step's pairs. */
export function pairObjective(loss: PairLoss, references: References): Objective {
  return {
    mode: 'score',
    async weigh(targets, { rows }, scores) {
      const slopes = new Map(
        [...pairsOf(targets, await scores())].map(([row, pair]) => [
          row,
          slopesOf(loss, row, pair, references),
        ]),
      );
      return Float32Array.from(targets, ({ row, branch }) => {
        const { chosen, rejected } = slopes.get(row)!;
        return (branch === pairBranches.chosen ? chosen : rejected) / rows;
      });
    },
    loss: (scores, { rows }, targets) =>
      [...pairsOf(targets, scores)].reduce(
        (sum, [row, pair]) => sum + slopesOf(loss, row, pair, references).loss / rows,
        0,
      ),
  };
}

/** The mean of a loss over rows that were scored. */
export function meanPairLoss(likelihoods: Likelihoods, loss: PairLoss, references: References): number {
  let sum = 0;
  for (const likelihood of likelihoods) {
    const { row, tokens } = likelihood;
    const { chosen, rejected } = pairLikelihood(likelihood);
    const pair = {
      chosen: { logLikelihood: chosen, tokens: tokens[pairBranches.chosen]! },
      rejected: { logLikelihood: rejected, tokens: tokens[pairBranches.rejected]! },
    };
    sum += slopesOf(loss, row, pair, references).loss;
  }
  return sum / likelihoods.length;
}

const nothing: PairLikelihood = { chosen: 0, rejected: 0 };

const slopesOf = (loss: PairLoss, row: number, pair: Pair, references: References) =>
  loss(pair, references === undefined ? nothing : references.get(row));

/** The answers of a batch's rows, by row. */
function pairsOf(targets: Targets, scores: Float32Array): Map<number, Pair> {
  const pairs = new Map<number, { [answer in keyof Pair]: { logLikelihood: number; tokens: number } }>();
  targets.forEach(({ row, branch }, i) => {
    let pair = pairs.get(row);
    if (pair === undefined) {
      pair = { chosen: { logLikelihood: 0, tokens: 0 }, rejected: { logLikelihood: 0, tokens: 0 } };
      pairs.set(row, pair);
    }
    const answer = branch === pairBranches.chosen ? pair.chosen : pair.rejected;
    answer.logLikelihood += scores[i]!;
    answer.tokens += 1;
  });
  return pairs;
}
