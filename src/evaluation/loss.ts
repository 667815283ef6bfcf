// The validation loss, on the scale of the training loss.
import type { Example } from '../data/index.ts';
import { type Likelihoods, numbersByRow } from './likelihoods.ts';

/**
 * The mean negative log-likelihood of the answers' tokens, in nats; of text, of every token but the first. Where several
 * answers are accepted it is the one that training would take, (docs/data.md).
 */
export function lossOf(likelihoods: Likelihoods, examples: readonly Example[]): number {
  let [loss, tokens] = [0, 0];
  for (const row of rowLosses(likelihoods, examples)) {
    loss += row.loss;
    tokens += row.tokens;
  }
  return loss / tokens;
}

/** What each row adds to the loss: its answer's summed negative log-likelihood in nats, and the tokens of that. */
export function* rowLosses(
  likelihoods: Likelihoods,
  examples: readonly Example[],
): Generator<{ readonly row: number; readonly loss: number; readonly tokens: number }> {
  const branches = answerBranches(examples);
  for (const { row, logLikelihood, tokens } of likelihoods) {
    const branch = branches[row] ?? 0;
    yield { row, loss: -(logLikelihood[branch] ?? 0), tokens: tokens[branch] ?? 0 };
  }
}

/** The branch that a row's loss is of, by row: its answer's; 0, the trunk, for text. */
export const answerBranches = (examples: readonly Example[]): Int32Array =>
  numbersByRow(examples, ({ answer }) => (answer === undefined ? 0 : answer + 1));
