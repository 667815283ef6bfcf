// The validation loss, on the scale of the training loss.
import type { Example } from '../data/index.ts';
import type { RowLikelihood } from './score.ts';

/**
 * The mean negative log-likelihood of the answers' tokens, in nats; of text, of every token but the first. Where several
 * answers are accepted it is the one that training would take, (docs/data.md).
 */
export function lossOf(likelihoods: readonly RowLikelihood[], examples: readonly Example[]): number {
  const answers = new Map(examples.map(({ row, answer }) => [row, answer]));
  let [loss, tokens] = [0, 0];
  for (const { row, ...score } of likelihoods) {
    const answer = answers.get(row);
    const right = <T>(entries: T[]) =>
      answer === undefined ? entries : entries.slice(answer + 1, answer + 2);
    for (const value of right(score.logLikelihood)) loss -= value;
    for (const count of right(score.tokens)) tokens += count;
  }
  return loss / tokens;
}
