import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { pagePath, withRegion } from '../../../bench/page.ts';
import { costs, keyOf, toldCosts } from '../../../bench/strategies/costs.ts';
import { costTable } from '../../../bench/strategies/table.ts';
import { ways } from '../../../bench/strategies/ways.ts';

it('the table in the docs is that of the kept costs', () => {
  const page = readFileSync(pagePath('emulators'), 'utf8');
  expect(withRegion(page, 'bench/strategies', toldCosts()) === page).toBe(true);
});

it('every kept cost is of a way that there is', () => {
  const keys = new Map(ways.map((way) => [keyOf(way), way.name]));
  for (const { key, way } of costs.read()) expect([key, keys.get(key)]).toEqual([key, way]);
});

it('what a way asks of the rows beside one pass stands in the table', () => {
  expect(ways.filter(({ passes }) => passes !== undefined).map(({ name }) => name)).toEqual([
    ...['sleb', 'low rank by gradient', 'width by taylor', 'width by gradient'],
    'low rank, distilled for 10 steps',
  ]);
  // 28 layers left out one by one, then 27: all blocks above each, and those below once
  expect(ways.find(({ name }) => name === 'sleb')?.passes).toBe('1, and the blocks of 28');
});

it('a way is told with both stages, and as probes of the first', () => {
  const stage = (seconds: number, peakBytes: number) => ({ seconds, peakBytes });
  const cost = (way: string, probe: number, assemble: number) => ({
    ...{ key: way, way, probe: stage(probe, 4e8), assemble: stage(assemble, 5.004e8) },
  });
  const passes = (way: string) => (way === 'crash' ? '1' : '1, and 1 backward');
  const table = costTable([cost('crash', 10, 5), cost('low rank', 30.4, 20)], 'crash', passes);
  expect(table).toContain('| crash | 1 | 10 | 400 MB | 5 | 500 MB | 1.5 |');
  expect(table).toContain('| low rank | 1, and 1 backward | 30 | 400 MB | 20 | 500 MB | 5.0 |');
  expect(costTable([], 'crash', passes)).toBe('Nothing was measured yet.');
});
