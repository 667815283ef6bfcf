import { expect, test } from 'vitest';
import { correlation } from '../../../bench/study/estimates.ts';
import { givenFirst, looksPart, massOf, ranking, rightOf } from '../../../bench/study/looked.ts';
import type { Look } from '../../../bench/study/looks.ts';

const look = (choices: Look['choices'], more: Partial<Look> = {}): Look => ({
  ...{ key: JSON.stringify(more), setting: 'low rank 0.35, no exact layer', model: 'smollm2', task: 'spam' },
  ...{ seed: 1, steps: 40, side: 'plugIn', coefficient: 1, split: 'test' },
  ...{ answers: '0011', choices },
  ...more,
});

// A bias of 5 nats to the first answer, and ranks that are right but for one pair of four.
const biased = look([
  [-1, -9],
  [-1, -6],
  [-2, -8],
  [-3, -4],
]);

test('a bias makes answers wrong and leaves the ranking', () => {
  expect(rightOf(biased)).toBe('1100');
  expect(givenFirst(biased, 0)).toEqual({ given: 2, rows: 2 });
  expect(givenFirst(biased, 1)).toEqual({ given: 2, rows: 2 });
  expect(ranking(biased)?.value).toBe(0.75);
  expect(ranking({ ...biased, choices: biased.choices.map(([a, b]) => [a! - 5, b!]) })?.value).toBe(0.75);
});

test("a ranking's error is that of Hanley and McNeil; equal odds count half, and more choices have none", () => {
  // 0.75 of 2 and 2 rows: Q1 = 0.6, Q2 = 9/14
  const variance = (0.75 * 0.25 + (0.6 - 0.5625) + (9 / 14 - 0.5625)) / 4;
  expect(ranking(biased)?.stderr).toBeCloseTo(Math.sqrt(variance), 12);
  expect(ranking({ ...biased, choices: biased.choices.map(() => [-1, -2]) })?.value).toBe(0.5);
  expect(ranking({ ...biased, choices: biased.choices.map(() => [-1, -2, -3]) })).toBeUndefined();
});

test('what a model gives to all choices is the geometric mean over rows', () => {
  const said = [
    [Math.log(0.1), Math.log(0.3)],
    [Math.log(0.05), Math.log(0.05)],
  ];
  expect(massOf(look(said))).toBeCloseTo(Math.sqrt(0.4 * 0.1), 12);
});

test('a coefficient is chosen on validation rows and told of test rows', () => {
  const good = [
    [-1, -9],
    [-1, -6],
    [-8, -2],
    [-5, -4],
  ];
  const page = looksPart(
    [
      look(biased.choices, { coefficient: 0 }),
      look(biased.choices, { coefficient: 0, steps: 5 }),
      look(good, { coefficient: 0.5 }),
      look(good.toReversed()),
      look(good, { side: 'emulator' }),
      look(biased.choices, { coefficient: 0, split: 'validation' }),
      look(good, { coefficient: 0.5, split: 'validation' }),
      look(biased.choices, { split: 'validation' }),
    ],
    [],
  ).join('\n');
  expect(page.match(/\| {2}\| {2}\| full model \| 0 \| 0\.500 ± /g)).toHaveLength(1);
  expect(page).toMatch(
    /\| low rank 0\.35, no exact layer \| 40 \| full model \| 0\.5 \| 1\.000 ± 0\.000 \| 2 \| 0 \| 1\.000 ± 0\.000 \| /,
  );
  expect(page).toContain('| low rank 0.35, no exact layer | 40 | emulator | 1 | 1.000 ');
  expect(page).toMatch(
    /on spam, 40 steps, seed 1: of 0, 0\.5, 1 the best is 0\.5 on 4 validation rows \(1\.00\); on the test rows it gains 0\.50 \[0\.00, 1\.00\], and the whole change -0\.50 \[/,
  );
  expect(looksPart([], [])).toEqual([]);
});

test('how right answers go together is their correlation', () => {
  const of = (a: string, b: string) => correlation([[a.repeat(8), b.repeat(8)]])?.value;
  // of 8 rows 4 and 4 are right, 3 both: (8 x 3 - 16) / 16
  expect(of('11110000', '11101000')).toBeCloseTo(0.5, 12);
  expect(of('1100', '1010')).toBe(0);
  expect(of('1100', '1100')).toBe(1);
  expect(of('1111', '1100')).toBeUndefined();
});
