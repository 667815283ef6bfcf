// The study's part on why mails fail: what models say of the same rows with parts of an adapter's change, and after parts of its training.
import type { Estimate } from '../../src/evaluation/index.ts';
import { difference, rate } from './estimates.ts';
import type { Asked, Look } from './looks.ts';
import { settings, type TaskName, tasks } from './settings.ts';
import { interval, withError } from './shown.ts';

/** Which rows are answered rightly, a digit a row. */
export const rightOf = ({ answers, choices }: Look): string =>
  choices.map((said, row) => Number(chosenOf(said) === Number(answers[row]))).join('');

/** The first of the likeliest. */
const chosenOf = (said: readonly number[]) => said.indexOf(Math.max(...said));

/** How many of the rows whose right answer is `right` are given the first choice, and how many such rows there are. */
export function givenFirst({ answers, choices }: Look, right: number): { given: number; rows: number } {
  const own = choices.filter((_, row) => Number(answers[row]) === right);
  return { given: own.filter((said) => chosenOf(said) === 0).length, rows: own.length };
}

/**
 * Of two choices: how often a row of the first has higher odds of it than one of the second, half where they are equal; with the
 * standard error of Hanley and McNeil (1982). 0.5 is chance whichever a model says more often. Undefined of more choices.
 */
export function ranking({ answers, choices }: Look): Pick<Estimate, 'value' | 'stderr'> | undefined {
  if (choices[0]?.length !== 2) return undefined;
  const oddsOf = (right: string) =>
    choices.flatMap(([first, second], row) => (answers[row] === right ? [first! - second!] : []));
  const [own, others] = [oddsOf('0'), oddsOf('1')];
  const pairs = own.length * others.length;
  const wins = own.reduce(
    (sum, a) => sum + others.reduce((won, b) => won + (a > b ? 1 : a === b ? 0.5 : 0), 0),
    0,
  );
  const value = wins / pairs;
  const variance =
    value * (1 - value) +
    (own.length - 1) * (value / (2 - value) - value ** 2) +
    (others.length - 1) * ((2 * value ** 2) / (1 + value) - value ** 2);
  return { value, stderr: Math.sqrt(variance / pairs) };
}

/** What a model gives to all choices of a row together: the geometric mean over rows. */
export function massOf({ choices }: Look): number {
  const sum = choices.reduce((all, said) => {
    const most = Math.max(...said);
    return all + most + Math.log(said.reduce((mass, each) => mass + Math.exp(each - most), 0));
  }, 0);
  return Math.exp(sum / choices.length);
}

/** The mails, whose rows have two choices. */
const looked = 'spam' satisfies TaskName;

/** In the order of the settings; the emulator after the full model, fewer steps and smaller coefficients first. */
function ordered(looks: readonly Look[]): Look[] {
  const place = ({ setting }: Asked) => settings.findIndex(({ name }) => name === setting);
  return looks.toSorted(
    (a, b) =>
      place(a) - place(b) ||
      b.side.localeCompare(a.side) ||
      a.steps - b.steps ||
      a.coefficient - b.coefficient,
  );
}

/** The page's part; nothing where no model was looked at. */
export function looksPart(all: readonly Look[]): string[] {
  const looks = ordered(all.filter(({ task, split }) => task === looked && split === 'test'));
  const [first] = looks;
  if (first === undefined) return [];
  const { rows: spam } = givenFirst(first, 0);
  return [
    `## Why the mails fail

${tasks[looked]}, SmolLM2, seed ${first.seed}, ${first.choices.length} test rows, of which ${spam} are spam (\`node bench/study/looks.ts\`). **Of the change**: (1 - c) full + c plug-in. **Spam, others called
spam**: how many of either. **Ranks**: how often a spam has higher odds of the spam's answer than another mail (area under the ROC
curve, with its standard error), which a bias to one answer leaves as it is; 0.5 is chance. **Says a choice**: what the model gives to
both answers together, the geometric mean over rows.

| trained on | steps | answers | of the change | right | spam called spam | others called spam | ranks | says a choice |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |`,
    ...looks.flatMap((look, i) =>
      look.coefficient === 0 && looks.findIndex(isUntuned) !== i ? [] : [line(look)],
    ),
    '',
    ...chosenLines(all),
  ];
}

const isUntuned = ({ side, coefficient }: Asked) => side === 'plugIn' && coefficient === 0;

function line(look: Look): string {
  const { setting, steps, side, coefficient } = look;
  const untuned = isUntuned(look);
  return `| ${[
    untuned ? '' : setting,
    untuned ? '' : steps,
    side === 'plugIn' ? 'full model' : 'emulator',
    coefficient,
    withError(rate([rightOf(look)])),
    ...[0, 1].map((right) => givenFirst(look, right).given),
    withError(ranking(look)),
    massOf(look).toPrecision(2),
  ].join(' | ')} |`;
}

/** What comes of a coefficient that is chosen on validation rows, which neither training nor test had. */
function chosenLines(all: readonly Look[]): string[] {
  const plugIns = ordered(all.filter(({ side }) => side === 'plugIn'));
  const same = (a: Asked, b: Asked) =>
    a.setting === b.setting && a.task === b.task && a.seed === b.seed && a.steps === b.steps;
  const validation = plugIns.filter(({ split }) => split === 'validation');
  const lines = validation
    .filter((look, i) => validation.findIndex((other) => same(look, other)) === i)
    .flatMap((look) => {
      const of = (split: Asked['split']) =>
        plugIns.filter((other) => same(look, other) && other.split === split);
      const right = (other: Look) => rate([rightOf(other)])!.value;
      const best = of('validation').reduce((most, other) => (right(other) > right(most) ? other : most));
      const [untuned, then, whole] = [0, best.coefficient, 1].map((coefficient) =>
        of('test').find((other) => other.coefficient === coefficient),
      );
      if (untuned === undefined || then === undefined || whole === undefined) return [];
      const gain = (test: Look) => interval(difference([[rightOf(test), rightOf(untuned)]]));
      const tried = of('validation').map(({ coefficient }) => coefficient);
      return `- \`${look.setting}\` on ${look.task}, ${look.steps} steps, seed ${look.seed}: of ${tried.join(', ')} the best is ${best.coefficient} on ${look.choices.length} validation rows (${right(best).toFixed(2)}); on the test rows it gains ${gain(then)}, and the whole change ${gain(whole)}.`;
    });
  if (lines.length === 0) return [];
  return [
    "The owner of the full model may choose how much of the change is plugged in (PlugIn's `coefficient`), on rows of his own:\n",
    ...lines,
    '',
  ];
}
