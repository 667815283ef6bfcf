// docs/study.md: the study's tables, out of its kept findings alone.
import type { Estimate } from '../../src/evaluation/index.ts';
import type { CellName } from '../../src/plugin/measured.ts';
import { difference, longest, rate, recovered } from './estimates.ts';
import type { Finding } from './experiment.ts';
import {
  aim,
  autoTask,
  courses,
  finalist,
  models,
  probeRows,
  settings,
  type TaskName,
  tasks,
  testRows,
  wantedSeeds,
} from './settings.ts';

const head = `# Study: what an emulator teaches, and what it gives away

Made by \`make study\` of the kept results, in which every run is. One run: an emulator is built of what ${probeRows.samples} probe
rows observe, an adapter is trained on it, and test rows are answered by each of the four cells. Trainings are short, so that
the study ends: ${Object.entries(courses)
  .map(
    ([task, { steps, batchSize }]) =>
      `${steps} steps of ${batchSize} rows and ${testRows[task as TaskName]} test rows on \`${task}\``,
  )
  .join(', ')}. Rows and models: [study-data.md](study-data.md).
Files: \`findings.json\`, \`attacks.json\` and \`autos.json\` in \`bench/study\`.

**Read with care.** Low rank 0.35 without an exact layer was chosen in earlier trials on WordNet questions, which asked some of the same
test rows; nothing was chosen on the mails or the speeches. Its three seeds and those of its bound on SmolLM2 were first asked 250 test rows
(recovered 0.88 [0.80, 0.97]); since that interval crossed the aim, the same adapters, trained again to the same digests, were asked
the other 250 rows of the file as well. Rank, learning rate and ratio were not varied with three seeds.

- **exact**: share of the model's parameters that the bundle holds bit by bit (embedding, head and norms are always among them).
- **emulator**, **tuned**, **plug-in**: share of test rows answered rightly, with its standard error; by the emulator before and
  after the training, and by the full model with the adapter.
- **recovered**: (plug-in - full) / (full tuned - full), where *full tuned* is LoRA trained in the full model itself with the
  same seed; in brackets the 2.5 % and 97.5 % percentiles of the bootstrap over test rows, all cells of a row together.
- **tuned - full**: how much better or worse the tuned emulator is than the untuned full model; above 0, the data owner has a
  better model without sending anything back. Of the data owner's own course: what an attacker makes of a bundle stands below.
- **plug-in, beside**: plug-in less that of \`${finalist}\`, of the seeds that both have.
- **bits kept**: what the untuned emulator keeps of the model's likelihood of probe rows that were not observed ([leak.md](leak.md)).
- **CPU s**: processor seconds of one thread, building (0 where another seed has built it, or a part) and tuning.
- Several seeds: the mean; an interval draws test rows, each with what all seeds say of it. **rows**: how many of the test rows
  were asked; two settings are compared by the rows that both have.
`;

/**
 * @param figures what was drawn, by model and task: an address beside the page
 * @param more parts of other kinds of runs, behind the tables
 */
export function studyPage(
  findings: readonly Finding[],
  figures: ReadonlyMap<string, string> = new Map(),
  more: readonly string[] = [],
): string {
  const parts = Object.entries(models).flatMap(([model, modelTitle]) =>
    Object.entries(tasks).flatMap(([task, taskTitle]) => {
      const own = findings.filter((found) => found.model === model && found.task === task);
      if (own.length === 0) return [];
      const figure = figures.get(`${model}-${task}`);
      const picture =
        figure === undefined
          ? ''
          : `![What is recovered against what the tuned emulator is able to](${figure})\n\n`;
      return [`## ${modelTitle}: ${taskTitle}\n\n${picture}${table(own)}`];
    }),
  );
  return [head, ...parts, ...more, missing(findings)].join('\n');
}

/** What the study is to answer and does not yet. */
function missing(findings: readonly Finding[]): string {
  if (findings.length === 0) return 'No run was kept yet.\n';
  const pairs = Object.keys(models).flatMap((model) =>
    Object.keys(tasks).flatMap((task) =>
      task === autoTask
        ? []
        : {
            name: `${model} on ${task}`,
            own: findings.filter((found) => found.model === model && found.task === task),
          },
    ),
  );
  const gaps = pairs.flatMap(({ name, own }) => {
    if (own.length === 0) return [`- ${name}: no run`];
    const left = settings.filter((each) => !own.some(({ setting }) => setting === each.name));
    const seeds = new Set(own.filter(({ setting }) => setting === finalist).map(({ seed }) => seed));
    return [
      ...(left.length === 0 ? [] : [`- ${name}, without a run: ${left.map((each) => each.name).join('; ')}`]),
      ...(seeds.size >= wantedSeeds
        ? []
        : [`- ${name}: ${seeds.size} of ${wantedSeeds} seeds of the finalist`]),
    ];
  });
  return gaps.length === 0 ? '' : `## Not run yet\n\n${gaps.join('\n')}\n`;
}

/** Which settings do what is aimed at, by their mean, and how sure that is. */
function aimLine(findings: readonly Finding[]): string {
  const reached = settings.flatMap(({ name, full }) => {
    const runs = findings.filter(({ setting }) => setting === name);
    const gain = recovered(runs, findings);
    const leak = difference(runs.map(({ rows }) => [rows.emulatorFineTuned, rows.fullZeroShot]));
    if (full || gain === undefined || leak === undefined) return [];
    const exact = runs[0]!.exactShare.parameters;
    if (gain.value < aim.recovered || leak.value > 0 || exact > aim.exact) return [];
    const sure = gain.low >= aim.recovered && leak.high <= 0;
    return [`\`${name}\` (${sure ? 'its intervals too' : 'by its means; an interval crosses'})`];
  });
  const what = `Aim: recovered at least ${aim.recovered}, tuned not above full, at most ${100 * aim.exact} % exact`;
  const bound = findings.some(({ setting }) => setting === settings[0]!.name);
  if (!bound) return `${what}: not told before \`${settings[0]!.name}\` was run.\n`;
  return `${what}: reached by ${reached.length === 0 ? 'none' : reached.join(', ')}.\n`;
}

const columns = [
  ...[
    'setting',
    'seeds',
    'rows',
    'exact',
    'emulator',
    'tuned',
    'plug-in',
    'recovered',
    'tuned - full',
    'plug-in, beside',
  ],
  ...['bits kept', 'CPU s'],
];

function table(findings: readonly Finding[]): string {
  const lines = settings.flatMap(({ name }) => {
    const runs = findings.filter(({ setting }) => setting === name);
    return runs.length === 0 ? [] : [line(name, runs, findings)];
  });
  return [
    `Full model, untuned: ${shown(rate([longest(findings, 'fullZeroShot')]))}.\n`,
    `| ${columns.join(' | ')} |`,
    `| ${columns.map(() => '---').join(' | ')} |`,
    ...lines,
    '',
    aimLine(findings),
  ].join('\n');
}

function line(name: string, runs: readonly Finding[], all: readonly Finding[]): string {
  const of = (cell: CellName) => shown(rate(runs.map(({ rows }) => rows[cell])));
  const seconds = (part: keyof Finding['seconds']) =>
    Math.round(runs.reduce((sum, run) => sum + run.seconds[part], 0) / runs.length);
  const others = all.filter(({ setting }) => setting === finalist);
  const beside = runs.flatMap((run) => {
    const other = others.find(({ seed }) => seed === run.seed);
    return other === undefined || name === finalist ? [] : [[run.rows.plugIn, other.rows.plugIn] as const];
  });
  return `| ${[
    name,
    runs
      .map(({ seed }) => seed)
      .toSorted((a, b) => a - b)
      .join(', '),
    String(Math.min(...runs.map(({ rows }) => rows.plugIn.length))),
    `${(100 * runs[0]!.exactShare.parameters).toFixed(1)} %`,
    of('emulatorZeroShot'),
    of('emulatorFineTuned'),
    of('plugIn'),
    interval(recovered(runs, all)),
    interval(difference(runs.map(({ rows }) => [rows.emulatorFineTuned, rows.fullZeroShot]))),
    interval(difference(beside)),
    interval(runs[0]!.leak?.bitsKept),
    `${Math.max(...runs.map((run) => run.seconds.build))} + ${seconds('tune')}`,
  ].join(' | ')} |`;
}

/** A share or difference with what the bootstrap says of it; nothing where there is none. */
export function interval(found: Pick<Estimate, 'value' | 'low' | 'high'> | Bits | undefined): string {
  if (found === undefined) return '';
  const [value, low, high] = [found.value, found.low, found.high].map((each) => Number(each).toFixed(2));
  return `${value} [${low}, ${high}]`;
}

type Bits = NonNullable<NonNullable<Finding['leak']>['bitsKept']>;

const shown = (found: Estimate | undefined) =>
  found === undefined ? '' : `${found.value.toFixed(3)} ± ${found.stderr.toFixed(3)}`;
