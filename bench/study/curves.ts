// The study's recovery curves as a table and a figure: what an attacker's tuning makes of emulators and of their controls.
import type { TopLevelSpec } from 'vega-lite';
import { colours } from '../../src/report/plots/theme.ts';
import type { Attack } from './attacks.ts';
import { picture } from './picture.ts';
import { attacked, attacks } from './settings.ts';

type Cell = Attack['found']['full'];

/** In the order of the settings. */
const ordered = (all: readonly Attack[]) =>
  attacked.flatMap((name) => all.filter(({ setting }) => setting === name));

/** The page's part; nothing where nothing was attacked. @param figure its address beside the page */
export function curvesPart(all: readonly Attack[], figure: string): string[] {
  const found = ordered(all);
  if (found.length === 0) return [];
  const budgets = found[0]!.found.points.map(({ tokens }) => budget(tokens));
  const line = (name: string, cells: readonly (Cell | undefined)[], rest: readonly string[]) =>
    `| ${[name, ...cells.map(shown), ...rest].join(' | ')} |`;
  const cut = found.some(({ found: { points } }) => points.some(({ control }) => control === undefined))
    ? " *Not run*: the machine's time was over before;\nthe emulators come first, and theirs are whole."
    : '';
  const left = attacked.filter((name) => !found.some(({ setting }) => setting === name));
  return [
    `## What an attacker makes of a bundle

![Recovery curves](${figure})

The leak test of [leak.md](leak.md), SmolLM2 and WordNet questions: the whole emulator is tuned, with its exact blocks, on the probe's
own file of questions with their right answers, ${attacks.testRows} test rows are asked at each budget; AdamW at 1e-4, rows of a step: 16, one seed.
Halfway is from the untuned control to the full model (${shown(found[0]!.found.full)} on these rows).${cut}

| | ${budgets.join(' | ')} | halfway | reached at | CPU s |
| --- | ${budgets.map(() => '---').join(' | ')} | --- | --- | --- |`,
    ...found.flatMap(({ setting, found: { points, halfway, reachedAt }, seconds }) => [
      line(
        setting,
        points.map(({ emulator }) => emulator),
        [
          halfway === undefined ? '' : Number(halfway).toFixed(3),
          reachedAt === undefined ? 'not within these' : budget(reachedAt),
          String(seconds),
        ],
      ),
      line(
        'its control',
        points.map(({ control }) => control),
        ['', '', ''],
      ),
    ]),
    '',
    ...found.map(outcome),
    '',
    `"Tuned not above full" of the tables is of what the data owner is to do: LoRA, for so many steps. It is no bound of what an attacker makes
of the same bundle who tunes all of it on more rows; this is what was tried, and other rows, rates or budgets may do better.`,
    left.length === 0 ? '' : `\nNot attacked yet: ${left.join('; ')}.\n`,
  ];
}

const budget = (tokens: number) => (tokens === 0 ? 'untuned' : `${tokens.toLocaleString('en')} tokens`);

const shown = (cell: Cell | undefined) =>
  cell === undefined ? 'not run' : `${Number(cell.value).toFixed(3)} ± ${Number(cell.stderr).toFixed(3)}`;

/** What the last budget made of an emulator, in a sentence. */
function outcome({ setting, found: { full, points } }: Attack): string {
  const { tokens, emulator } = points.at(-1)!;
  const below = Number(full.value) - Number(emulator.value);
  const far = below > 2 * Number(emulator.stderr);
  return `- \`${setting}\`: after ${budget(tokens)} ${shown(emulator)}, ${
    far ? 'below the untuned full model' : '**as much as the untuned full model, or not told from it**'
  }.`;
}

/** An SVG of its own, or undefined where nothing was attacked. */
export async function curvesFigure(all: readonly Attack[]): Promise<string | undefined> {
  const found = ordered(all);
  if (found.length === 0) return undefined;
  return picture(plot(found), {
    id: 'curves',
    title: 'Recovery curves',
    text: found
      .map(({ setting, found: { points } }) => {
        const values = points.map(({ emulator }) => Number(emulator.value).toFixed(2));
        return `${setting}: ${values.join(', ')}`;
      })
      .join('; '),
  });
}

const palette = [colours.transfer, colours.kept, colours.removed];

function plot(found: readonly Attack[]): TopLevelSpec {
  const budgets = found[0]!.found.points.map(({ tokens }) => tokens);
  // where the untuned models stand on an axis that has no 0
  const untuned = budgets[1]! / 3;
  const values = found.flatMap(({ setting, found: { points } }) =>
    points.flatMap(({ tokens, emulator, control }) =>
      Object.entries({ emulator, control }).flatMap(([model, cell]) => {
        if (cell === undefined) return [];
        const [y, error] = [Number(cell.value), Number(cell.stderr)];
        const curve = { setting, model, curve: `${setting}, ${model}` };
        return [{ ...curve, tokens: Math.max(tokens, untuned), y, low: y - error, high: y + error }];
      }),
    ),
  );
  const quantitative = { type: 'quantitative' as const };
  const color = {
    field: 'setting',
    type: 'nominal' as const,
    title: null,
    scale: { domain: found.map(({ setting }) => setting), range: palette.slice(0, found.length) },
    legend: { orient: 'bottom' as const, labelLimit: 0, columns: 1 },
  };
  const strokeDash = {
    field: 'model',
    type: 'nominal' as const,
    title: null,
    scale: {
      domain: ['emulator', 'control'],
      range: [
        [1, 0],
        [4, 4],
      ],
    },
    legend: { orient: 'bottom' as const },
  };
  const detail = { field: 'curve', type: 'nominal' as const };
  return {
    width: 640,
    height: 320,
    data: { values },
    layer: [
      {
        data: { values: [{ y: Number(found[0]!.found.full.value) }] },
        mark: { type: 'rule', color: 'var(--full)', strokeDash: [5, 4] },
        encoding: { y: { field: 'y', ...quantitative } },
      },
      {
        mark: { type: 'rule', strokeWidth: 1.25, opacity: 0.6 },
        encoding: {
          x: { field: 'tokens', ...quantitative },
          y: { field: 'low', ...quantitative },
          y2: { field: 'high' },
          color,
        },
      },
      {
        mark: { type: 'line', strokeWidth: 2 },
        encoding: {
          x: { field: 'tokens', ...quantitative },
          y: { field: 'y', ...quantitative },
          ...{ color, strokeDash, detail },
        },
      },
      {
        mark: { type: 'point', filled: true, size: 45, opacity: 1 },
        encoding: { x: { field: 'tokens', ...quantitative }, y: { field: 'y', ...quantitative }, color },
      },
    ],
    encoding: {
      x: {
        title: 'tokens tuned on (leftmost: untuned; dashed across: the full model, untuned)',
        scale: { type: 'log', domain: [untuned, budgets.at(-1)!], nice: false },
        axis: { grid: false, format: '~s', values: budgets.slice(1) },
      },
      y: { title: 'right answers', scale: { zero: false }, axis: { tickCount: 6 } },
    },
  };
}
