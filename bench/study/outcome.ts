// Whether the study's aim was reached, whom the finalist beats, and what stops it where it does not reach it.
import { difference, gained, recovered } from './estimates.ts';
import type { Finding } from './experiment.ts';
import { aim, allTestRows, finalist, models, rivals, settings, type TaskName, tasks } from './settings.ts';
import { interval, percent } from './shown.ts';

const bound = settings[0]!.name;

const runsOf = (findings: readonly Finding[], name: string) =>
  findings.filter(({ setting }) => setting === name);

const leakOf = (runs: readonly Finding[]) =>
  difference(runs.map(({ rows }) => [rows.emulatorFineTuned, rows.fullZeroShot]));

/** What runs recover, and of which seeds, where the bound was not run with all of theirs. */
export function recoveredWords(runs: readonly Finding[], all: readonly Finding[]): string {
  const bounds = runsOf(all, bound);
  const seeds = runs.map(({ seed }) => seed).filter((seed) => bounds.some((found) => found.seed === seed));
  const found = interval(recovered(runs, all));
  return found === '' || seeds.length === runs.length ? found : `${found} (seed ${seeds.join(', ')})`;
}

type Reached = 'no' | 'by its means; an interval crosses' | 'its intervals too';

/** Undefined where the bound was not run, or gained nothing. @param all of one model and task */
function reachedBy(runs: readonly Finding[], all: readonly Finding[]): Reached | undefined {
  const [gain, leak] = [recovered(runs, all), leakOf(runs)];
  if (gain === undefined || leak === undefined) return undefined;
  const exact = runs[0]!.exactShare.parameters;
  if (gain.value < aim.recovered || leak.value > 0 || exact > aim.exact) return 'no';
  const sure = gain.low >= aim.recovered && leak.high <= 0;
  return sure ? 'its intervals too' : 'by its means; an interval crosses';
}

/** The page's first table: of each model and task what the finalist gives, gives away, and whether that is what was aimed at. */
export function summary(findings: readonly Finding[]): string {
  const lines = Object.entries(models).flatMap(([model, modelTitle]) =>
    Object.entries(tasks).flatMap(([task, taskTitle]) => {
      const all = findings.filter((found) => found.model === model && found.task === task);
      const runs = runsOf(all, finalist);
      if (runs.length === 0) return [];
      const reached = reachedBy(runs, all);
      return `| ${[
        `${modelTitle}, ${taskTitle}`,
        runs.length,
        percent(runs[0]!.exactShare.parameters),
        interval(leakOf(runs)),
        interval(gained(runsOf(all, bound))),
        recoveredWords(runs, all),
        reached === undefined ? 'not told' : reached === 'no' ? 'no' : `yes (${reached})`,
      ].join(' | ')} |`;
    }),
  );
  if (lines.length === 0) return '';
  return [
    `## In short

What \`${finalist}\` comes to: every linear map of the model as two thin factors, LoRA beside each, nothing of a layer handed over
as it is. Aimed at: recovered at least ${aim.recovered}, tuned - full at most 0, at most ${100 * aim.exact} % exact. *Tuned* is by the data owner's own course; an
attacker who tunes all of the emulator comes further ([below](#what-an-attacker-makes-of-a-bundle)).

| model, task | seeds | exact | tuned - full | LoRA in the full model gains | recovered | aim reached |
| --- | --- | --- | --- | --- | --- | --- |`,
    ...lines,
    '',
    inWords,
  ].join('\n');
}

/** What the tables come to beside that; written by hand. */
const inWords = `- **The ratio is what is given away.** On WordNet questions (SmolLM2) 0.2, 0.35 and 0.5 recover 0.80, 0.88 and 0.93, and leave the tuned
  emulator 0.32, 0.19 and 0.06 below the untuned full model (0.2 and 0.5: one seed).
- **Exact layers cost more than they teach.** The same emulator with four exact layers that are trained instead recovers 0.76 where they are
  spread and 0.22 where they are the top four (one seed), at 10.5 points more of exact parameters. Four exact layers alone (\`crash\`, \`uniform\`)
  recover nothing on either model.
- **It does not work everywhere.** On mails the adapter harms the full model, SmolLM2's with each of three seeds and, of one, perhaps Gemma's
  ([below](#why-the-mails-fail)): the tuned emulator is better than the untuned full model there. Look at PlugIn's gates before a release.
`;

/** What is said below a table. @param findings of one model and task */
export function outcome(findings: readonly Finding[], task: TaskName): string {
  return [aimLine(findings), ...rivalLines(findings), ...obstacles(findings, task)].join('\n');
}

/** Which settings do what is aimed at, by their mean, and how sure that is. */
function aimLine(findings: readonly Finding[]): string {
  const what = `Aim: recovered at least ${aim.recovered}, tuned not above full, at most ${100 * aim.exact} % exact`;
  if (runsOf(findings, bound).length === 0) return `${what}: not told before \`${bound}\` was run.\n`;
  const reached = settings.flatMap(({ name, full }) => {
    const by = full ? undefined : reachedBy(runsOf(findings, name), findings);
    return by === undefined || by === 'no' ? [] : [`\`${name}\` (${by})`];
  });
  return `${what}: reached by ${reached.length === 0 ? 'none' : reached.join(', ')}.\n`;
}

/** The finalist beside layers alone, of the seeds that both have. */
function rivalLines(findings: readonly Finding[]): string[] {
  const own = runsOf(findings, finalist);
  const lines = rivals.flatMap((name) => {
    const theirs = runsOf(findings, name);
    const pairs = own.flatMap((run) => {
      const other = theirs.find(({ seed }) => seed === run.seed);
      return other === undefined ? [] : [[run.rows.plugIn, other.rows.plugIn] as const];
    });
    const found = difference(pairs);
    if (found === undefined) return [];
    const told = found.low > 0 ? 'better' : found.high < 0 ? 'worse' : 'not told apart';
    const seeds = pairs.length === 1 ? 'one seed' : `${pairs.length} seeds`;
    return `- \`${name}\` (${percent(theirs[0]!.exactShare.parameters)} exact): ${interval(found)}, ${told}; ${seeds}.`;
  });
  if (lines.length === 0) return [];
  const exact = percent(own[0]!.exactShare.parameters);
  return [
    `\`${finalist}\` (${exact} exact) beside four exact layers and nothing else; its plug-in less theirs:\n`,
    ...lines,
    '',
  ];
}

/** Half of an interval's width that would tell the aim from what was reached. */
const narrow = 0.1;

/** Why the finalist does not surely reach the aim: what of it no setting can reach, and what the rows cannot tell. */
function obstacles(findings: readonly Finding[], task: TaskName): string[] {
  const runs = runsOf(findings, finalist);
  const reached = reachedBy(runs, findings);
  if (runs.length === 0 || reached === 'its intervals too') return [];
  const exact = runs[0]!.exactShare.parameters;
  const lines: string[] = [];
  if (exact > aim.exact)
    lines.push(
      `- **exact**: it holds no layer exactly; embedding, head and norms alone are ${percent(exact)} of this model's parameters. They are in every bundle, so that no setting comes to ${100 * aim.exact} % here.`,
    );
  const leak = leakOf(runs)!;
  if (leak.high > 0)
    lines.push(
      `- **tuned - full**: ${interval(leak)}, ${leak.value > 0 ? 'above 0' : 'not surely below 0'}.`,
    );
  const [gain, whole] = [recovered(runs, findings), gained(runsOf(findings, bound))];
  if (whole !== undefined && whole.low <= 0)
    lines.push(
      `- **recovered**: LoRA in the full model itself gains ${interval(whole)}, not surely anything, and a share of nothing is nothing.`,
    );
  else if (gain !== undefined && whole !== undefined && gain.low < aim.recovered) {
    const rows = Math.min(...runs.map((run) => run.rows.plugIn.length));
    const half = (gain.high - gain.low) / 2;
    const needed = Math.ceil((rows * (half / narrow) ** 2) / 100) * 100;
    lines.push(
      `- **recovered**: LoRA in the full model itself gains ${interval(whole)}, and by that the plug-in's gain is divided: ${interval(gain)} on ${rows} rows. An interval of ± ${narrow} would take about ${needed.toLocaleString('en')} test rows; there are ${allTestRows[task]}.`,
    );
  }
  return lines.length === 0 ? [] : [`What stops \`${finalist}\`:\n`, ...lines, ''];
}
