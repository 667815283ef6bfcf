// What a model without any context says of tokens: how frequent each is among the probe's rows.
import type { TaskData } from '../../evaluation/index.ts';
import { answerBranches } from '../../evaluation/index.ts';

type Rows = Pick<TaskData, 'examples' | 'batches'>;

/** The negative log-likelihood of a token, in nats. */
export type Unigram = (token: number) => number;

/**
 * The unigram model of tokens, smoothed as Witten and Bell do (IEEE Trans. Inf. Theory 37(4), 1991): after N tokens of T
 * kinds, a new kind is as likely as one was so far, and all of the vocabulary are equally likely then:
 * p(t) = (count(t) + T / V) / (N + T).
 */
export function unigramOf(tokens: Iterable<number>, vocabulary: number): Unigram {
  const counts = new Map<number, number>();
  let total = 0;
  for (const token of tokens) {
    counts.set(token, (counts.get(token) ?? 0) + 1);
    total++;
  }
  const kinds = counts.size;
  if (kinds === 0) return () => Math.log(vocabulary);
  return (token) => -Math.log(((counts.get(token) ?? 0) + kinds / vocabulary) / (total + kinds));
}

/** The tokens that the rows' loss is of: of text all but the first, else the right answer's. */
export function* lossTokens({ examples, batches }: Rows): Generator<{ row: number; token: number }> {
  const branches = answerBranches(examples);
  for (const { targets } of batches)
    for (const { row, branch, token } of targets) if (branch === branches[row]) yield { row, token };
}
