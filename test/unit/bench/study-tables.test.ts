import { expect, test } from 'vitest';
import type { Attack } from '../../../bench/study/attacks.ts';
import type { Found } from '../../../bench/study/autos.ts';
import { curvesFigure, curvesPart } from '../../../bench/study/curves.ts';
import { recovered } from '../../../bench/study/estimates.ts';
import type { Finding } from '../../../bench/study/experiment.ts';
import { autosPart } from '../../../bench/study/found.ts';
import { frontier } from '../../../bench/study/frontier.ts';
import { studyPage } from '../../../bench/study/tables.ts';

const finding = (setting: string, full: boolean, rows: Partial<Finding['rows']>): Finding => ({
  ...{
    key: setting,
    setting,
    bundle: 'sha256:0',
    adapter: 'sha256:1',
    model: 'smollm2',
    task: 'words',
    seed: 1,
    full,
    build: {},
  },
  ...{ exactShare: { tensors: 0.5, parameters: 0.21 }, seconds: { build: 60, tune: 90 } },
  rows: {
    ...{ fullZeroShot: '1100000000', emulatorZeroShot: '0000000000' },
    ...{ emulatorFineTuned: '1000000000', plugIn: '1111000000', ...rows },
  },
});

test('recovered is the plug-in gain as a share of what the same training in the full model gains', () => {
  const page = studyPage([
    finding('full model, LoRA', true, { plugIn: '1111111000' }),
    finding('low rank 0.35, no exact layer', false, {}),
  ]);
  // (0.4 - 0.2) / (0.7 - 0.2), and 0.1 - 0.2.
  expect(page).toMatch(
    /\| low rank 0\.35, no exact layer \| 1 \| 10 \| 21\.0 % \| 0\.000 ± 0\.000 \| 0\.100 ± 0\.\d+ \| 0\.400 ± 0\.\d+ \| 0\.40 \[0\.\d+, 1\.00\] \| -0\.10 \[-0\.\d+, 0\.00\] \| {2}\| {2}\| 60 \+ 90 \|/,
  );
});

test('a setting whose bound was not run with its seed has no share', () => {
  const page = studyPage([finding('low rank 0.35, no exact layer', false, {})]);
  expect(page).toContain('± 0.');
  expect(page).toMatch(/\| 0\.400 ± 0\.\d+ \|\s+\| -0\.10/);
});

test('seeds that say the same of every row make no interval narrower; other seeds are left out where one is missing', () => {
  const bound = finding('full model, LoRA', true, { plugIn: '1111111000' });
  const run = finding('low rank 0.35, no exact layer', false, {});
  const again = (found: Finding, seed: number): Finding => ({ ...found, seed });
  const one = recovered([run], [bound]);
  expect(one?.value).toBeCloseTo(0.4);
  expect(recovered([run, again(run, 2)], [bound, again(bound, 2)])).toEqual(one);
  expect(recovered([run, again({ ...run, rows: bound.rows }, 2)], [bound])).toEqual(one);
  expect(
    recovered([run], [{ ...bound, rows: run.rows, setting: 'full model, four layers' }]),
  ).toBeUndefined();
});

test('where training in the full model gains nothing, nothing is recovered', () => {
  const bound = finding('full model, LoRA', true, { plugIn: '1100000000' });
  expect(recovered([finding('crash, K = 80 %', false, {})], [bound])).toBeUndefined();
});

test('settings that were asked different numbers of rows are compared by the rows that both have', () => {
  const asked = (found: Finding, rows: number): Finding => ({
    ...found,
    rows: Object.fromEntries(
      Object.entries(found.rows).map(([cell, answers]) => [cell, answers.slice(0, rows)]),
    ) as Finding['rows'],
  });
  const bound = finding('full model, LoRA', true, { plugIn: '1111111000' });
  const run = finding('low rank 0.35, no exact layer', false, { plugIn: '1110001111' });
  // of the first five rows (3 - 2) / (5 - 2), of all (7 - 2) / (7 - 2)
  expect(recovered([asked(run, 5)], [bound])?.value).toBeCloseTo(1 / 3);
  expect(recovered([run], [bound])?.value).toBeCloseTo(1);
  const page = studyPage([asked(finding('crash, K = 80 %', false, {}), 5), run, bound]);
  expect(page).toContain('Full model, untuned: 0.200 ± ');
  expect(page).toMatch(/\| crash, K = 80 % \| 1 \| 5 \| 21\.0 % .* \| 0\.20 \[/);
});

test('plug-ins are set beside the finalist by seed', () => {
  const page = studyPage([
    finding('low rank 0.35, no exact layer', false, {}),
    finding('crash, K = 80 %', false, { plugIn: '1110000000' }),
  ]);
  expect(page).toMatch(/\| crash, K = 80 % .* \| -0\.10 \[-0\.30, 0\.00\] \| {2}\| 60 \+ 90 \|/);
});

test('the figure names every setting with both figures, and is an image by itself', async () => {
  const svg = await frontier(
    [
      finding('full model, LoRA', true, { plugIn: '1111111000' }),
      finding('low rank 0.35, no exact layer', false, {}),
    ],
    'words',
  );
  expect(svg).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" [^>]*><title /);
  expect(svg).toContain('low rank 0.35, no exact layer: 0.40 at -0.10</desc><style>:root {');
  expect(svg!.length).toBeLessThan(100_000);
  expect(await frontier([finding('crash, K = 80 %', false, {})], 'words')).toBeUndefined();
});

test('the aim is told of means and intervals, and what was not run stands at the end', () => {
  const bound = finding('full model, LoRA', true, { plugIn: '1111111000' });
  const most = finding('low rank 0.35, no exact layer', false, { plugIn: '1111110000' });
  const page = studyPage([bound, most]);
  expect(page).toContain(
    'at most 30 % exact: reached by `low rank 0.35, no exact layer` (by its means; an interval crosses).',
  );
  expect(studyPage([bound, finding('crash, K = 80 %', false, {})])).toContain('30 % exact: reached by none.');
  const sharing = { ...most, exactShare: { tensors: 0.5, parameters: 0.31 } };
  expect(studyPage([bound, sharing])).toContain('reached by none.');
  expect(studyPage([most])).toContain('not told before `full model, LoRA` was run.');
  expect(page).toContain('- smollm2 on words: 1 of 3 seeds of the finalist');
  expect(page).toContain('- gemma3-270m on spam: no run');
  expect(page).not.toContain('speeches: no run');
});

test('a share is told with its seeds where the bound was not run with all of them', () => {
  const bound = finding('full model, LoRA', true, { plugIn: '1111111000' });
  const run = finding('low rank 0.35, no exact layer', false, {});
  const page = studyPage([bound, run, { ...run, seed: 2 }]);
  expect(page).toMatch(
    /\| low rank 0\.35, no exact layer \| 1, 2 \| .* \| 0\.40 \[0\.\d+, 1\.00\] \(seed 1\) \|/,
  );
});

test('the finalist is set beside four layers alone, and in the first table', () => {
  const bound = finding('full model, LoRA', true, { plugIn: '1111111000' });
  const most = finding('low rank 0.35, no exact layer', false, { plugIn: '1111110000' });
  const crash = finding('crash, four layers only', false, { plugIn: '0000000000' });
  const page = studyPage([bound, most, crash, { ...crash, seed: 2 }]);
  expect(page).toMatch(
    /- `crash, four layers only` \(21\.0 % exact\): 0\.60 \[0\.\d+, 0\.\d+\], better; one seed\./,
  );
  expect(page).toMatch(
    /\| SmolLM2-135M-Instruct, WordNet questions, 4 choices \| 1 \| 21\.0 % \| -0\.10 \[.*\] \| 0\.50 \[.*\] \| 0\.80 \[.*\] \| yes \(by its means; an interval crosses\) \|/,
  );
  const equal = studyPage([bound, most, { ...crash, rows: most.rows }]);
  expect(equal).toContain('0.00 [0.00, 0.00], not told apart; one seed.');
});

test('what stops the finalist is told: a share that no setting comes to, and a gain too small for the rows', () => {
  const bound = finding('full model, LoRA', true, { plugIn: '1111111000' });
  const half = finding('low rank 0.35, no exact layer', false, {});
  const page = studyPage([bound, { ...half, exactShare: { tensors: 0.5, parameters: 0.626 } }]);
  expect(page).toContain("embedding, head and norms alone are 62.6 % of this model's parameters.");
  expect(page).toMatch(
    /gains 0\.50 \[.*: 0\.40 \[0\.\d+, 1\.00\] on 10 rows\. An interval of ± 0\.1 would take about \d+ test rows; there are 500\./,
  );
  const nothing = studyPage([finding('full model, LoRA', true, { plugIn: '1100000000' }), half]);
  expect(nothing).toContain('gains 0.00 [0.00, 0.00], not surely anything');
  expect(nothing).toContain('| not told |');
  const sure = { fullZeroShot: '0000000000', emulatorFineTuned: '0000000000', plugIn: '1111111111' };
  const reached = [
    finding('full model, LoRA', true, sure),
    finding('low rank 0.35, no exact layer', false, sure),
  ];
  expect(studyPage(reached)).not.toContain('What stops');
});

const cell = (value: string) => ({ value, stderr: '0.04' });

test('recovery curves are told and drawn of every bundle that was attacked, and those that were not are named', async () => {
  const attack: Attack = {
    ...{ key: 'a', setting: 'crash, four layers only', model: 'smollm2', task: 'words' },
    ...{ bundle: 'sha256:0', seconds: 500 },
    found: {
      ...{ metric: 'acc', samples: 120, full: cell('0.65'), halfway: '0.45', reachedAt: 13000 },
      points: [0, 4000, 13000].map((tokens) => ({
        tokens,
        emulator: cell(tokens === 13000 ? '0.46' : '0.26'),
        control: cell('0.25'),
      })),
    },
  };
  const page = curvesPart([attack], 'curves.svg').join('\n');
  expect(page).toContain('| | untuned | 4,000 tokens | 13,000 tokens | halfway | reached at | CPU s |');
  expect(page).toContain(
    '| crash, four layers only | 0.260 ± 0.040 | 0.260 ± 0.040 | 0.460 ± 0.040 | 0.450 | 13,000 tokens | 500 |',
  );
  expect(page).toContain('Not attacked yet: low rank 0.35, no exact layer; crash, K = 80 %.');
  expect(page).toContain(
    '- `crash, four layers only`: after 13,000 tokens 0.460 ± 0.040, below the untuned full model.',
  );
  const points = attack.found.points.map(({ control, ...point }) =>
    point.tokens === 0 ? { ...point, control: control! } : { ...point, emulator: cell('0.6') },
  );
  const part = { ...attack, found: { ...attack.found, points } };
  expect(curvesPart([part], '').join('\n')).toMatch(
    /\| its control \| 0\.250 ± 0\.040 \| not run \| not run \|[\s\S]*after 13,000 tokens 0\.600 ± 0\.040, \*\*as much as/,
  );
  expect(await curvesFigure([part])).toContain('crash, four layers only: 0.26, 0.60, 0.60</desc>');
  const { reachedAt: _, ...never } = attack.found;
  expect(curvesPart([{ ...attack, found: never }], '').join('\n')).toContain('| not within these | 500 |');
  expect(await curvesFigure([attack])).toContain('crash, four layers only: 0.26, 0.26, 0.46</desc>');
  expect(curvesPart([], '')).toEqual([]);
  expect(await curvesFigure([])).toBeUndefined();
});

test('what auto chose is told beside the setting that has the same bundle', () => {
  const chosen = {
    strategy: 'none' as const,
    compression: { type: 'lowRank' as const, ratio: '0.2' },
    transferLayers: { count: 0 },
  };
  const auto: Found = {
    ...{ key: 'a', model: 'smollm2', task: 'speeches', bundle: 'sha256:2', seconds: 300 },
    budget: { leakAtMost: '0.3', sizeAtMost: '0.6', exactAtMost: '0.3' },
    auto: {
      ...{ chosen, reason: 'why', rows: 3, passes: '1.51' },
      candidates: [
        {
          ...{ ...chosen, sizeShare: '0.4', exactParameterShare: '0.21', agreement: '0.144' },
          ...{ bitsKept: { value: '0.12', stderr: '0.04' }, verdict: 'chosen' },
        },
      ],
    },
  };
  const words = finding('low rank 0.35, no exact layer', false, {});
  const page = autosPart([auto], [words]).join('\n');
  expect(page).toContain(
    '| 0.3 | all layers, lowRank 0.2, LoRA beside every map | 0.12 ± 0.04 | 0.14 | not trained |  |  |  | 1.51 | 300 |',
  );
  const speeches = (setting: string, full: boolean, rows: Partial<Finding['rows']>): Finding => ({
    ...finding(setting, full, rows),
    task: 'speeches',
  });
  const stage = (seconds: number) => ({ seconds, peakBytes: 1e9 });
  const leak = (value: string) => ({
    leak: {
      ...{ exactParameterShare: '0.21', subspaceShare: '0.5', layerSubspaceShare: '0.5' },
      bitsKept: { value, stderr: '0.01', low: value, high: value },
    },
  });
  const there = autosPart(
    [{ ...auto, cost: { probe: stage(50), assemble: stage(80) } }],
    [
      speeches('full model, LoRA', true, { plugIn: '1111111000' }),
      { ...speeches('low rank 0.2, no exact layer', false, {}), bundle: 'sha256:2', ...leak('0.10') },
      { ...speeches('low rank 0.35, no exact layer', false, { plugIn: '1111100000' }), ...leak('0.29') },
      { ...speeches('low rank 0.5, no exact layer', false, { plugIn: '1111111000' }), ...leak('0.31') },
    ],
  ).join('\n');
  // of those within 0.3 bits 0.35 is best: 0.40 against 0.60
  expect(there).toMatch(
    /\| low rank 0\.2, no exact layer \| 0\.40 \[.*\] \| low rank 0\.35, no exact layer \| -0\.20 \[.*\] \| 1\.51 \|/,
  );
  expect(there).toContain('together 2.6 of its passes, of which 3 were allowed. Peak memory 1000 MB.');
  expect(autosPart([], [words])).toEqual([]);
});
