// What of a private training is drawn by chance: under its key, for its rows as they are, and for nothing else.
import { createHash } from 'node:crypto';
import type { Example } from '../../data/index.ts';
import { SecretRandom } from './secret-random.ts';

/**
 * The streams of a training by what they are for. Rows that came to other tokens, by a tokenizer that is not the same in every
 * process, draw others: under one key the difference of two adapters would hold no noise.
 * @param identity digest of all that the training depends on
 * @param tokens digest of its rows (`tokensDigest`)
 */
export function chanceOf(key: Uint8Array, identity: string, tokens: string): (what: string) => SecretRandom {
  return (what) => new SecretRandom(key, `${identity} ${tokens} ${what}`);
}

/** A digest of rows by all that is read of them, each at its place, however their file writes them. */
export function tokensDigest(examples: readonly Example[]): string {
  const hash = createHash('sha256');
  for (const example of examples) hash.update(`${JSON.stringify([example.row, ...readOf(example)])}\n`);
  return hash.digest('hex');
}

/** The same in whatever order they stand: sampled each by itself, their places decide nothing. */
export function rowsDigest(examples: readonly Example[]): string {
  const digestOf = (text: string) => createHash('sha256').update(text).digest('hex');
  const rows = examples.map((example) => digestOf(JSON.stringify(readOf(example))));
  return digestOf(rows.sort().join('\n'));
}

const readOf = ({ trunk, branches, starts, spans, answer }: Example) => [
  trunk,
  branches,
  starts,
  spans,
  answer,
];
