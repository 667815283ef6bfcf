// The report's section on a plug-in and its evaluation.
import type { Cell, TaskResult } from '../../api/index.ts';
import { isPerplexity, lengthNote, metricTitle, pairNote, quality, signed, spread } from '../figures.ts';
import { type Html, html } from '../html.ts';
import { chip, figure, phaseChip, table } from '../parts.ts';
import { type Bar, barsPlot } from '../plots/cells.ts';
import { drawLite } from '../plots/draw.ts';
import { anchorOf, type PlugInEntry } from '../record.ts';
import {
  type CellName,
  type Comparison,
  type Comparisons,
  cellTitles,
  certaintySentence,
  judge,
} from '../verdict.ts';
import { analysisPart } from './analysis.ts';
import { partiesPart } from './parties.ts';

const plotWidth = 360;

/** What one PlugIn measured: the inequality in words, cells and differences as plots and tables, gates. */
export async function plugInSection(entry: PlugInEntry): Promise<Html> {
  const { resource, status } = entry;
  const anchor = anchorOf(entry);
  const results = status.evaluation ?? [];
  const tasks: Html[] = [];
  for (const [i, result] of results.entries()) {
    const asked = resource.spec.evaluation?.tasks.find(({ name }) => name === result.task);
    tasks.push(await taskPart(result, { id: `${anchor}-task${i}`, ofPairs: asked?.format === 'preference' }));
  }
  return html`<section id="${anchor}" aria-labelledby="${anchor}-h">
<div class="title"><h2 id="${anchor}-h">Plugged in: ${resource.metadata.name}</h2> ${phaseChip(status)}</div>
${results.length > 1 && overview(results)}
${tasks}
${results.length === 0 && html`<p>Nothing was evaluated${resource.spec.evaluation ? ' yet' : ': the resource names no tasks'}.</p>`}
${gates(entry)}
${merge(entry)}
${partiesPart(entry)}
${await analysisPart(entry)}
</section>`;
}

async function taskPart(
  result: TaskResult,
  { id, ofPairs }: { id: string; ofPairs: boolean },
): Promise<Html> {
  const { task, metric, samples } = result;
  const { headline, comparisons } = judge(result);
  return html`<h3 id="${id}">Task ${task}: ${metricTitle(metric)} on ${samples} rows</h3>
${metric === 'pair_acc' && html`<p>${pairNote('the full model')}</p>`}
${ofPairs && html`<p class="soft">${lengthNote}</p>`}
${comparisons ? checks(metric, comparisons) : html`<p>${headline}.</p>`}
<div class="pair">${await cellsFigure(result, id)}${await differencesFigure(result, id)}</div>
<div class="pair tables">${cellsTable(result)}${differencesTable(result)}</div>`;
}

function checks(metric: string, compared: Comparisons): Html {
  return html`<ul class="checks">${check('The emulator is worse than the full model', 'so it gives away less than the model', metric, compared.emulatorBelowFull)}
${check('Plugged in, the adapter helps the full model', 'it must not fall below what the model did before', metric, compared.plugInAboveFull)}
${check('The plugged-in model beats the fine-tuned emulator', 'the reason to send the adapter back', metric, compared.plugInAboveEmulator)}
${check('Tuned, the emulator stays below the untuned full model', 'or the data owner has a better model without giving anything back', metric, compared.tunedEmulatorBelowFull)}</ul>`;
}

const signs = {
  holds: ['✓', 'good'],
  leans: ['≈', 'open'],
  within: ['≈', 'open'],
  leansAgainst: ['≈', 'open'],
  fails: ['✗', 'bad'],
} as const;

function check(claim: string, why: string, metric: string, comparison: Comparison): Html {
  const { lead, low, high, paired, certainty } = comparison;
  const [sign, tone] = signs[certainty];
  const unit = isPerplexity(metric) ? ' (lower perplexity)' : ' points';
  const interval = `${signed(metric, low)} to ${signed(metric, high)}`;
  const how = paired ? '95% interval, paired on the same rows' : '95% interval, from the two standard errors';
  return html`<li><span class="sign ${tone}" aria-hidden="true">${sign}</span><div><strong>${claim}</strong> <span class="soft">(${why})</span></div>
<div>${signed(metric, lead)}${unit}, ${how}: ${interval}. ${certaintySentence(comparison)}</div></li>
`;
}

const colours: Readonly<Record<CellName, string>> = {
  fullZeroShot: 'var(--full)',
  emulatorZeroShot: 'var(--removed)',
  emulatorFineTuned: 'var(--kept)',
  plugIn: 'var(--transfer)',
  fullFineTuned: 'var(--shared)',
};

const cellsOf = ({ cells }: TaskResult): [CellName, Cell][] =>
  (Object.keys(cellTitles) as CellName[]).flatMap((name) => (cells[name] ? [[name, cells[name]]] : []));

async function cellsFigure(result: TaskResult, id: string): Promise<Html> {
  const { task, metric } = result;
  const scale = isPerplexity(metric) ? 1 : 100;
  const bars: Bar[] = cellsOf(result).map(([name, { value, stderr }]) => {
    const error = Number.isFinite(Number(stderr)) ? 1.96 * Number(stderr) : 0;
    return {
      label: cellTitles[name],
      value: scale * Number(value),
      low: scale * (Number(value) - error),
      high: scale * (Number(value) + error),
      text: quality(metric, value),
      colour: colours[name],
    };
  });
  const text = bars.map((bar) => `${bar.label} ${bar.text}`).join('; ');
  const title = isPerplexity(metric) ? 'perplexity' : `${metricTitle(metric)}, %`;
  const plot = await drawLite(barsPlot(bars, { title, width: plotWidth }), {
    id: `${id}-cells`,
    title: `Cells of task ${task}`,
    text,
  });
  return figure(plot, {
    title: 'The cells',
    caption: 'Bars are 95% intervals of each cell alone (1.96 standard errors).',
  });
}

async function differencesFigure(result: TaskResult, id: string): Promise<Html | undefined> {
  const { task, metric, differences = [] } = result;
  if (differences.length === 0) return undefined;
  const scale = isPerplexity(metric) ? 1 : 100;
  const bars: Bar[] = differences.map(({ name, value, low, high }) => ({
    label: differenceTitle(name),
    value: scale * Number(value),
    ...endsOf(value, [low, high], scale),
    text: signed(metric, value),
    colour: colours[name.split(' - ')[0] as CellName] ?? 'var(--full)',
  }));
  const title = isPerplexity(metric) ? 'difference in perplexity (negative is better)' : 'difference, points';
  const plot = await drawLite(barsPlot(bars, { title, width: plotWidth, zero: true }), {
    id: `${id}-differences`,
    title: `Differences between cells of task ${task}`,
    text: bars.map((bar) => `${bar.label} ${bar.text}`).join('; '),
  });
  return figure(plot, {
    title: 'The differences',
    caption:
      'Bars are 95% intervals of a paired bootstrap on the same rows. One that crosses the line at zero shows no difference; one that does not decides by itself only where the rows that differ are enough.',
  });
}

/** Of the interval; of one row there is none, and they are the value. */
function endsOf(
  value: string,
  interval: readonly [string, string],
  scale: number,
): Pick<Bar, 'low' | 'high'> {
  const [low, high] = interval
    .map((end) => scale * Number(end))
    .map((end) => (Number.isFinite(end) ? end : scale * Number(value))) as [number, number];
  return { low, high };
}

const shortTitles: Readonly<Record<string, string>> = {
  fullZeroShot: 'full zero-shot',
  emulatorZeroShot: 'emulator zero-shot',
  emulatorFineTuned: 'emulator fine-tuned',
  plugIn: 'plug-in',
  fullFineTuned: 'full fine-tuned',
};

/** `plug-in − full zero-shot` of `plugIn - fullZeroShot`. */
const differenceTitle = (name: string): string =>
  name
    .split(' - ')
    .map((cell) => shortTitles[cell] ?? cell)
    .join(' − ');

function cellsTable(result: TaskResult): Html {
  const { task, metric, samples } = result;
  return table({
    caption: `Cells of task ${task}: ${metricTitle(metric)} on ${samples} rows`,
    columns: [{ title: 'cell' }, { title: 'value', number: true }, { title: 'standard error', number: true }],
    rows: cellsOf(result).map(([name, { value, stderr }]) => [
      cellTitles[name],
      quality(metric, value),
      spread(metric, stderr, true),
    ]),
  });
}

function differencesTable({ task, metric, differences = [] }: TaskResult): Html | undefined {
  if (differences.length === 0) return undefined;
  return table({
    caption: `Differences of task ${task}, paired on the same rows${isPerplexity(metric) ? '' : ', in points'}`,
    columns: [
      { title: 'difference' },
      { title: 'value', number: true },
      { title: 'standard error', number: true },
      { title: '95% interval', number: true },
    ],
    rows: differences.map(({ name, value, stderr, low, high }) => [
      differenceTitle(name),
      signed(metric, value),
      spread(metric, stderr),
      `${signed(metric, low)} to ${signed(metric, high)}`,
    ]),
  });
}

/** All tasks in one table; with the mean of those that share an accuracy. */
function overview(results: readonly TaskResult[]): Html {
  const names = (Object.keys(cellTitles) as CellName[]).filter((name) =>
    results.some(({ cells }) => cells[name]),
  );
  const text = (metric: string, cell: Cell | undefined) =>
    cell && `${quality(metric, cell.value)} ± ${spread(metric, cell.stderr)}`;
  const rows = results.map(({ task, metric, samples, cells }) => [
    task,
    metric,
    String(samples),
    ...names.map((name) => text(metric, cells[name])),
  ]);
  return table({
    caption: 'All tasks, each value with its standard error',
    columns: [
      { title: 'task' },
      { title: 'metric' },
      { title: 'rows', number: true },
      ...names.map((name) => ({ title: shortTitles[name] as string, number: true })),
    ],
    rows: [...rows, ...meanRow(results, names)],
  });
}

function meanRow(results: readonly TaskResult[], names: readonly CellName[]): string[][] {
  const [first] = results;
  if (first === undefined || isPerplexity(first.metric)) return [];
  if (results.some(({ metric, cells }) => metric !== first.metric || names.some((name) => !cells[name])))
    return [];
  const mean = (name: CellName) => {
    const cells = results.map((result) => result.cells[name] as Cell);
    const value = cells.reduce((sum, cell) => sum + Number(cell.value), 0) / cells.length;
    const stderr = Math.hypot(...cells.map((cell) => Number(cell.stderr))) / cells.length;
    return `${quality(first.metric, value)} ± ${spread(first.metric, stderr)}`;
  };
  return [['mean', first.metric, '', ...names.map(mean)]];
}

function merge({ status }: PlugInEntry): Html | undefined {
  if (status.merge === undefined) return undefined;
  const { dtype, changedWeights, keptShare } = status.merge;
  const share = `${(100 * Number(keptShare)).toFixed(1)} %`;
  return html`<p>The adapter changes ${changedWeights.toLocaleString('en')} weights; the saved model's ${dtype} keeps ${share} of these changes, the others are rounded away.</p>`;
}

const gateTitles: Readonly<Record<string, string>> = {
  emulatorBelowFull: 'emulator zero-shot < full zero-shot',
  plugInAboveFullZeroShot: 'plug-in ≥ full zero-shot',
  plugInAboveEmulatorFineTuned: 'plug-in > emulator fine-tuned',
};

function gates({ resource, status }: PlugInEntry): Html | undefined {
  const { gates: found = [] } = status;
  if (found.length === 0) return undefined;
  const asked = new Set(
    Object.entries(resource.spec.gates ?? {}).flatMap(([name, gate]) => (gate ? [name] : [])),
  );
  return html`<h3>Gates</h3>${table({
    caption: 'A gate compares the measured values with its tolerance; it knows no standard error',
    columns: [
      { title: 'gate' },
      { title: 'task' },
      { title: 'result' },
      { title: 'a failure' },
      { title: 'measured', message: true },
    ],
    rows: found.map(({ name, passed, message }) => {
      const [task = '', gate = name] = name.split('/');
      return [
        gateTitles[gate] ?? gate,
        task,
        chip(passed ? 'passed' : 'failed', passed ? 'good' : 'bad'),
        asked.has(gate) ? 'stops the release' : 'is only reported',
        message,
      ];
    }),
  })}`;
}
