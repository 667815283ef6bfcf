// A row as a model reads it: its tokens, which of them are to be predicted, and which answer is right.
import { badData } from '../api/index.ts';

/**
 * One tokenised row. The trunk comes first; each branch is a continuation of it, so that a prompt is computed once for
 * all its choices. The targets are the branches' tokens from their `starts` on. A row without branches is text: its targets
 * are the tokens in `spans`, or every token but the first.
 */
export interface Example {
  /** The row's place in the rows given, counted from 0. */
  readonly row: number;
  readonly trunk: readonly number[];
  readonly branches: readonly (readonly number[])[];
  /** How many of each branch's first tokens still belong to the prompt; none when absent: the trunk holds all of it. */
  readonly starts?: readonly number[];
  /** The parts of a text that are targets, [from, to) each, ascending, none with token 0. */
  readonly spans?: readonly (readonly [from: number, to: number])[];
  /** Which branch is right, counted from 0; absent for text. */
  readonly answer?: number;
  /** UTF-8 bytes of each branch's text without the leading space (for acc_norm). */
  readonly bytes: readonly number[];
}

/** How many tokens a row takes in a packed sequence: the trunk once, and every branch. */
export function tokenCount({ trunk, branches }: Example): number {
  return branches.reduce((sum, branch) => sum + branch.length, trunk.length);
}

/** Whether there is a token to predict in a row that is trained on; a text of one token has none. */
export const hasTargets = ({ trunk, branches, spans }: Example): boolean =>
  branches.some(({ length }) => length > 0) || (spans?.some(([from, to]) => to > from) ?? trunk.length > 1);

/** @throws OffsiteError BadData, of the place that is named, where no row has a token to predict */
export function checkTargets(examples: readonly Example[], where: string): void {
  if (!examples.some(hasTargets)) throw badData(`${where}: has no row with a token to predict`);
}

/**
 * Where the answers of a preference pair stand among a target's branches. The rejected one is the first, since of equal
 * likelihoods the first choice is taken: a model that cannot tell them apart is not right.
 */
export const pairBranches = { rejected: 1, chosen: 2 } as const;
