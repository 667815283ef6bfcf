// The study's part on why mails fail: what models say of the same rows with parts of an adapter's change, and after parts of its training.
import type { Estimate } from '../../src/evaluation/index.ts';
import { correlation, difference, rate } from './estimates.ts';
import type { Finding } from './experiment.ts';
import type { Asked, Look } from './looks.ts';
import { finalist, models, settings, type TaskName, tasks } from './settings.ts';
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

/** The untuned full model first, then in the order of the settings; the emulator after the full model, fewer steps and smaller coefficients first. */
function ordered(looks: readonly Look[]): Look[] {
  const place = ({ setting }: Asked) => settings.findIndex(({ name }) => name === setting);
  return looks.toSorted(
    (a, b) =>
      Number(isUntuned(b)) - Number(isUntuned(a)) ||
      place(a) - place(b) ||
      b.side.localeCompare(a.side) ||
      a.steps - b.steps ||
      a.coefficient - b.coefficient,
  );
}

/** The page's part; nothing where no model was looked at. */
export function looksPart(all: readonly Look[], findings: readonly Finding[]): string[] {
  const looks = ordered(all.filter(({ task, split }) => task === looked && split === 'test'));
  const [first] = looks;
  if (first === undefined) return [];
  const { rows: spam } = givenFirst(first, 0);
  return [
    `## Why the mails fail

${tasks[looked]}, SmolLM2, seed ${first.seed}, ${first.choices.length} test rows, of which ${spam} are spam (\`node bench/study/looks.ts\`).
**Of the change**: (1 - c) full + c plug-in. **Spam, others called spam**: how many of either. **Ranks**: how often a spam has higher odds of the spam's answer than another mail (area under the ROC
curve, with its standard error), which a bias to one answer leaves as it is; 0.5 is chance. **Says a choice**: what the model gives to
both answers together, the geometric mean over rows.

| trained on | steps | answers | of the change | right | spam called spam | others called spam | ranks | says a choice |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |`,
    ...looks.flatMap((look, i) =>
      look.coefficient === 0 && looks.findIndex(isUntuned) !== i ? [] : [line(look)],
    ),
    '',
    ...chosenLines(all),
    ...togetherLines(findings),
    whatStops,
  ];
}

/** How right answers of the finalist's tuned emulator, of its plug-in and of the bound go together, wherever it was run. */
function togetherLines(findings: readonly Finding[]): string[] {
  const lines = Object.entries(models).flatMap(([model, modelTitle]) =>
    Object.entries(tasks).flatMap(([task, taskTitle]) => {
      const own = findings.filter((found) => found.model === model && found.task === task);
      const triples = own.flatMap(({ setting, seed, rows }) => {
        const tuned = own.find((found) => found.setting === settings[0]!.name && found.seed === seed);
        if (setting !== finalist || tuned === undefined) return [];
        return [{ emulator: rows.emulatorFineTuned, plugIn: rows.plugIn, bound: tuned.rows.plugIn }];
      });
      if (triples.length === 0) return [];
      return `| ${[
        `${modelTitle}, ${taskTitle}`,
        triples.length,
        interval(correlation(triples.map(({ emulator, plugIn }) => [emulator, plugIn]))),
        interval(correlation(triples.map(({ plugIn, bound }) => [plugIn, bound]))),
        interval(correlation(triples.map(({ emulator, bound }) => [emulator, bound]))),
      ].join(' | ')} |`;
    }),
  );
  return [
    `How right answers of \`${finalist}\` go together, row by row (their correlation; 0: one tells nothing of the other):

| model, task | seeds | tuned emulator with plug-in | plug-in with the full model's own LoRA | tuned emulator with that |
| --- | --- | --- | --- | --- |`,
    ...lines,
    '',
  ];
}

/** What the tables come to; written by hand, of seed 1 but where it says otherwise. */
const whatStops = `Three seeds do the same harm: the plug-in is right on 48, 48 and 47 of 100 mails, the untouched full model on 64. Gemma's
(one seed) is right on 48 and its full model on 53, where LoRA trained in it comes to 98. What stops it, as far as SmolLM2's first tells:

- **No bias, and not too much of the change**: with all of it the full model calls as many others spam as spams and ranks them by chance.
  A smaller share does less harm, and none helps; half of the steps do as much harm as all.
- **Not the text**: the emulator was observed on mails with their right answers, and no row is cut (at most 266 tokens of 320).
- **Not the form of the answer alone**: untuned, the full model hardly ever says either word, so that training begins with teaching that, and
  it does arrive in the full model. But LoRA that only learns to tell the right answer from the wrong one (\`pairs\`) gains nothing there either.
- **Not how far or whither the weights go**: beside LoRA trained in the full model itself the change has 1.35 times the norm and a cosine of
  0.10 on mails; on speeches, where it helps, 1.50 times and 0.09.
- **Likely: what is learned is the emulator's own.** It learns to tell mails, and the same change in the full model makes nothing of that: right
  answers of tuned emulator and plug-in go together on words, and on mails that cannot be seen. (Speeches lie between and are told from neither.)

A nearer emulator is no mend: with ratio 0.5 the plug-in is right on 0.53, not told from 0.48; distilled (30 steps on mails with their answers)
it is on 0.61, less harm, but no more than the untouched full model's 0.64. And distilled the emulator keeps 0.88 of what the full model says of
mails, and is, tuned, 0.23 better than that: here what helps the adapter is what gives the model away. A smaller share, fewer steps and pairs were
tried, too. Until there is a mend, the model owner sees the harm before a release, and PlugIn's gate \`plugInAboveFullZeroShot\` refuses such an adapter.
`;

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
