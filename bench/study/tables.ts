// docs/study.md: the study's tables, out of its kept findings alone.
import { bootstrap, type Estimate } from '../../src/evaluation/index.ts';
import type { CellName } from '../../src/plugin/measured.ts';
import type { Finding } from './experiment.ts';
import { models, settings, steps, type TaskName, tasks, testRows } from './settings.ts';

type Rows = Readonly<Record<CellName, string>>;

const head = `# Study: what an emulator teaches, and what it gives away

Made by \`make study\` of \`bench/study/findings.json\`, in which every run is. One run: an emulator is built, ${steps} steps of 16
rows are trained on it, and ${testRows} test rows (or as many as the task has) are answered by each of the four cells.

- **exact**: share of the model's parameters that the bundle holds bit by bit (embedding, head and norms are always among them).
- **emulator**, **tuned**, **plug-in**: share of test rows answered rightly, with its standard error; by the emulator before and
  after the training, and by the full model with the adapter.
- **recovered**: (plug-in - full) / (full tuned - full), where *full tuned* is LoRA trained in the full model itself with the
  same seed; in brackets the 2.5 % and 97.5 % percentiles of the bootstrap over test rows, all cells of a row together.
- **tuned - full**: how much better or worse the tuned emulator is than the untuned full model; above 0, the data owner has a
  better model without sending anything back.
- Several seeds: the mean; the interval is over the rows of all seeds together.
`;

export function studyPage(findings: readonly Finding[]): string {
  const parts = Object.entries(models).flatMap(([model, modelTitle]) =>
    Object.entries(tasks).flatMap(([task, taskTitle]) => {
      const own = findings.filter((found) => found.model === model && found.task === task);
      return own.length === 0 ? [] : [`## ${modelTitle}: ${taskTitle}\n\n${table(own, task as TaskName)}`];
    }),
  );
  const none = findings.length === 0 ? ['No run was kept yet.\n'] : [];
  return `${[head, ...none, ...parts].join('\n')}`;
}

function table(findings: readonly Finding[], _task: TaskName): string {
  const full = findings[0]!.rows.fullZeroShot;
  const lines = settings.flatMap(({ name }) => {
    const runs = findings.filter(({ setting }) => setting === name);
    return runs.length === 0 ? [] : [line(name, runs, findings)];
  });
  return [
    `Full model, untuned: ${shown(rate([full]))}.\n`,
    '| setting | seeds | exact | emulator | tuned | plug-in | recovered | tuned - full | build s | tune s |',
    '| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |',
    ...lines,
    '',
  ].join('\n');
}

function line(name: string, runs: readonly Finding[], all: readonly Finding[]): string {
  const of = (cell: CellName) => shown(rate(runs.map(({ rows }) => rows[cell])));
  const mean = (pick: (run: Finding) => number) =>
    Math.round(runs.reduce((sum, run) => sum + pick(run), 0) / runs.length);
  return `| ${[
    name,
    runs
      .map(({ seed }) => seed)
      .toSorted((a, b) => a - b)
      .join(', '),
    `${(100 * runs[0]!.exactShare.parameters).toFixed(1)} %`,
    of('emulatorZeroShot'),
    of('emulatorFineTuned'),
    of('plugIn'),
    recovered(runs, all),
    difference(runs),
    mean(({ seconds }) => seconds.build),
    mean(({ seconds }) => seconds.tune),
  ].join(' | ')} |`;
}

/** Of right answers. */
function rate(rows: readonly string[]): Estimate | undefined {
  return bootstrap(
    rows.flatMap((own) => numbers(own).map((value) => [value, 1])),
    ([right, count]) => right! / count!,
  );
}

/** What the runs' plug-ins recover of what LoRA in the full model gains, where that was run with the same seed. */
function recovered(runs: readonly Finding[], all: readonly Finding[]): string {
  const rows = runs.flatMap((run) => {
    const bound = all.find(
      ({ full, setting, seed }) => full && setting === settings[0]!.name && seed === run.seed,
    );
    return bound === undefined ? [] : [columns(run.rows, bound.rows)];
  });
  const found = bootstrap(rows.flat(), ([plugIn, full, tuned]) =>
    tuned === full ? undefined : (plugIn! - full!) / (tuned! - full!),
  );
  return found === undefined ? '' : interval(found);
}

function columns(own: Rows, bound: Rows): number[][] {
  const [plugIn, full, tuned] = [own.plugIn, own.fullZeroShot, bound.plugIn].map(numbers);
  return plugIn!.map((value, i) => [value, full![i]!, tuned![i]!]);
}

function difference(runs: readonly Finding[]): string {
  const rows = runs.flatMap(({ rows: { emulatorFineTuned, fullZeroShot } }) => {
    const full = numbers(fullZeroShot);
    return numbers(emulatorFineTuned).map((value, i) => [value - full[i]!, 1]);
  });
  const found = bootstrap(rows, ([sum, count]) => sum! / count!);
  return found === undefined ? '' : interval(found);
}

const numbers = (rows: string) => [...rows].map(Number);
const interval = ({ value, low, high }: Estimate) =>
  `${value.toFixed(2)} [${low.toFixed(2)}, ${high.toFixed(2)}]`;
const shown = (found: Estimate | undefined) =>
  found === undefined ? '' : `${found.value.toFixed(3)} ± ${found.stderr.toFixed(3)}`;
