// The study's part on why mails fail: what models say of the same rows with parts of an adapter's change, and after parts of its training.
import { rate } from './estimates.ts';
import type { Look } from './looks.ts';
import { settings, type TaskName, tasks } from './settings.ts';
import { withError } from './shown.ts';

/** Which rows are answered rightly, a digit a row. */
export const rightOf = ({ answers, choices }: Look): string =>
  choices.map((said, row) => Number(chosenOf(said) === Number(answers[row]))).join('');

/** The first of the likeliest. */
const chosenOf = (said: readonly number[]) => said.indexOf(Math.max(...said));

/** How many of the rows of a right answer get each choice. */
export const givenTo = ({ answers, choices }: Look, right: number): number[] =>
  choices[0]!.map(
    (_, choice) =>
      choices.filter((said, row) => Number(answers[row]) === right && chosenOf(said) === choice).length,
  );

/**
 * Of two choices: how often a row of the first has higher odds of it than one of the second, half where they are equal; with the
 * standard error of Hanley and McNeil (1982). 0.5 is chance whatever a model says more often; undefined of more choices.
 */
export function ranking({ answers, choices }: Look): { value: number; stderr: number } | undefined {
  if (choices[0]?.length !== 2) return undefined;
  const odds = choices.map(([first, second]) => first! - second!);
  const [of, others] = ['0', '1'].map((right) => odds.filter((_, row) => answers[row] === right));
  const wins = of!.flatMap((a) => others!.map((b) => (a > b ? 1 : a === b ? 0.5 : 0)));
  const value = wins.reduce<number>((sum, win) => sum + win, 0) / wins.length;
  const [pairsOf, pairsOthers] = [value / (2 - value), (2 * value ** 2) / (1 + value)];
  const variance =
    value * (1 - value) +
    (of!.length - 1) * (pairsOf - value ** 2) +
    (others!.length - 1) * (pairsOthers - value ** 2);
  return { value, stderr: Math.sqrt(variance / wins.length) };
}

/** The geometric mean of what a model gives to all choices of a row together. */
export const massOf = ({ choices }: Look): number =>
  Math.exp(
    choices.reduce((sum, said) => {
      const most = Math.max(...said);
      return sum + most + Math.log(said.reduce((all, each) => all + Math.exp(each - most), 0));
    }, 0) / choices.length,
  );
