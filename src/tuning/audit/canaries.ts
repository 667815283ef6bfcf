// Canaries: rows of random tokens that are trained on beside the data, and how far they stand out afterwards.
import { type Example, Random } from '../../data/index.ts';
import { type Interval, meanWithin } from './statistics.ts';

/** Streams of the seed from here on draw canaries. */
const canaryStream = 2_000_000;
/** Tokens of a canary's prompt, and of the answer that it is to be recognised by. */
const length = 4;

export interface CanaryOptions {
  readonly count: number;
  readonly seed: number;
  /** How many tokens the model has. */
  readonly vocabulary: number;
}

/** Rows to train on: a prompt of random tokens with an answer of random tokens. @param first the number of the first row */
export const canaries = (options: CanaryOptions, first: number): Example[] =>
  ranked({ ...options, candidates: 0 }).map((example, i) => ({ ...example, row: first + i }));

/**
 * The canaries, each with as many other answers that were drawn as its own was: branch 0 is what was trained on. Whatever the
 * model, each is in every rank with the same probability where training told it nothing.
 */
export function ranked({
  count,
  candidates,
  seed,
  vocabulary,
}: CanaryOptions & { candidates: number }): Example[] {
  return Array.from({ length: count }, (_, row) => {
    const random = new Random(seed, canaryStream + row);
    const tokens = () => Array.from({ length }, () => random.below(vocabulary));
    const trunk = tokens();
    const branches = Array.from({ length: candidates + 1 }, tokens);
    return { row, trunk, branches, answer: 0, bytes: branches.map(() => 0) };
  });
}

export interface Exposure {
  canaries: number;
  candidates: number;
  /** log2 of all there are minus log2 of the canary's rank (arXiv 1802.08232), in the mean. */
  exposure: Interval;
  /** In the mean of canaries whose rank is any with the same probability. */
  chance: number;
  /** Of canaries that all stand first. */
  most: number;
}

/** @param gains how much likelier training made each canary's own answer (the first) and its candidates, in nats */
export function exposureOf(gains: readonly (readonly number[])[]): Exposure {
  const all = gains[0]!.length;
  const exposure = (rank: number) => Math.log2(all / rank);
  const found = gains.map(([own, ...others]) => {
    const above = others.filter((gain) => gain > own!).length;
    const equal = others.filter((gain) => gain === own).length;
    return exposure(1 + above + equal / 2);
  });
  const ranks = Array.from({ length: all }, (_, i) => exposure(i + 1));
  return {
    canaries: gains.length,
    candidates: all - 1,
    exposure: meanWithin(found, Math.log2(all)),
    chance: ranks.reduce((sum, one) => sum + one, 0) / all,
    most: Math.log2(all),
  };
}
