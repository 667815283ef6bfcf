/** What decides with few rows that differ: as often as by chance, not more. Rows are drawn and rounded as a status has them. */
import { describe, expect, test } from 'vitest';
import type { Metric } from '../../../src/api/index.ts';
import { cellOf } from '../../../src/evaluation/cells.ts';
import { pairedBootstrap } from '../../../src/evaluation/index.ts';
import { certaintySentence, compare } from '../../../src/report/verdict.ts';
import { scoresOf } from '../../support/unit/evaluation/scores.ts';

/** The comparison of plug-in and full model whose rows score this. */
function comparisonOf(
  plugIn: readonly number[],
  full: readonly number[],
  {
    metric = 'acc',
    resamples = 2000,
    paired = true,
  }: { metric?: Metric; resamples?: number; paired?: boolean },
) {
  const weight = metric === 'perplexity' ? 10 : 1;
  const [a, b] = [scoresOf(plugIn, weight), scoresOf(full, weight)];
  const figure = (value: number) => value.toFixed(4);
  const cell = (scores: typeof a) => {
    const { value, stderr } = cellOf(scores, metric);
    return { value: figure(value), stderr: figure(stderr) };
  };
  const { value, stderr, interval } = pairedBootstrap(a, b, metric, { resamples });
  const name = 'plugIn - fullZeroShot';
  const [low, high] = interval;
  const difference = {
    name,
    value: figure(value),
    stderr: figure(stderr),
    low: figure(low),
    high: figure(high),
  };
  return compare(
    {
      ...{ metric, samples: plugIn.length, differences: paired ? [difference] : [] },
      cells: { plugIn: cell(a), fullZeroShot: cell(b) },
    },
    'plugIn',
    'fullZeroShot',
  );
}

/** Rows of 0 and 1 of which some are right in the first alone, others in the second alone; half of the rest in both. */
function discordant(n: number, first: number, second: number): [number[], number[]] {
  const rows = Array.from({ length: n }, (_, i) => i);
  const shared = (i: number) => i % 2;
  const a = rows.map((i) => (i < first ? 1 : i < first + second ? 0 : shared(i)));
  const b = rows.map((i) => (i < first ? 0 : i < first + second ? 1 : shared(i)));
  return [a, b];
}

/** The same for perplexity: rows of 20 nats, with 5 fewer where one is better. */
const nats = (rows: readonly number[]) => rows.map((right) => 20 - 5 * right);

const choose = (n: number, k: number): number => (k === 0 ? 1 : (choose(n, k - 1) * (n - k + 1)) / k);

const decides = ({ certainty }: ReturnType<typeof comparisonOf>) =>
  certainty === 'holds' || certainty === 'fails';

describe.each(['acc', 'perplexity'] as const)('of %s', (metric) => {
  const scored = (rows: [number[], number[]]) =>
    metric === 'perplexity' ? ([nats(rows[0]), nats(rows[1])] as const) : rows;

  test.each([20, 50, 200])(
    '%d rows of which few differ, by a coin each, decide in at most one of twenty cases',
    (n) => {
      for (let differing = 1; differing <= 14; differing++) {
        let rate = 0;
        for (let first = 0; first <= differing; first++)
          if (decides(comparisonOf(...scored(discordant(n, first, differing - first)), { metric })))
            rate += choose(differing, first) / 2 ** differing;
        expect(rate, `${differing} rows differ`).toBeLessThanOrEqual(0.05);
      }
    },
  );

  test.each([10, 20, 200])('of %d rows six that go one way decide, five or four do not', (n) => {
    const options = { metric };
    for (const few of [4, 5]) {
      const comparison = comparisonOf(...scored(discordant(n, few, 0)), options);
      expect([comparison.low > 0, comparison.certainty], `${few} of ${few}`).toEqual([true, 'within']);
      expect(certaintySentence(comparison)).toMatch(/^Not decided: /);
    }
    expect(comparisonOf(...scored(discordant(n, 6, 0)), options).certainty).toBe('holds');
    expect(comparisonOf(...scored(discordant(n, 0, 6)), options).certainty).toBe('fails');
  });
});

test.each([
  [7, 1, 0.0703, false],
  [8, 1, 0.0391, true],
  [10, 2, 0.0386, true],
  [10, 3, 0.0923, false],
  [25, 11, 0.0288, true],
  [24, 12, 0.0652, false],
])('%d rows against %d, p = %d by McNemar: decided %s', (first, second, p, isDecided) => {
  for (const n of [50, 1000]) {
    const comparison = comparisonOf(...discordant(n, first, second), {});
    expect(decides(comparison), `${n} rows`).toBe(isDecided);
    if (isDecided || comparison.low <= 0) continue;
    const [, told] = /^Not decided: the rows .* \(McNemar's exact test, p about ([\d.]+)\)\.$/.exec(
      certaintySentence(comparison),
    )!;
    // By the error of 2,000 resamples one pair of rows more or fewer may be counted.
    expect(Math.abs(Number(told) - p)).toBeLessThan(0.01);
  }
});

test('of so many rows that four decimals do not count them, fewer than six never decide', () => {
  for (const n of [5000, 20_000])
    for (const few of [4, 5])
      expect(decides(comparisonOf(...discordant(n, few, 0), { resamples: 200 })), `${few} of ${n}`).toBe(
        false,
      );
});

test('without a paired interval as many rows differ as the two cells allow', () => {
  const unpaired = (n: number, a: number, b: number) => {
    const rows = (right: number) => Array.from({ length: n }, (_, i) => Number(i < right));
    return comparisonOf(rows(a), rows(b), { paired: false, resamples: 100 });
  };
  // 4 of 20 against none: 0.2 less 1.96 errors of 0.0918 is above zero, and p is 0.125
  expect(unpaired(20, 4, 0)).toMatchObject({ certainty: 'within', few: expect.stringContaining('0.125') });
  expect(unpaired(20, 20, 15)).toMatchObject({ certainty: 'within', few: expect.stringContaining('0.063') });
  expect(unpaired(20, 6, 0).certainty).toBe('holds');
  expect(unpaired(500, 323, 158).certainty).toBe('holds');
});

test('perplexities whose rows all differ and go no way in particular decide in at most 5% of cases', () => {
  let state = 1;
  const random = () => {
    state = (Math.imul(state, 48_271) >>> 0) % 2_147_483_647;
    return state / 2_147_483_647;
  };
  // Of no mean, and of sizes so uneven that some rows make most of it.
  const noise = () => (random() < 0.5 ? -1 : 1) * random() ** -0.5;
  for (const n of [10, 20, 50]) {
    let decided = 0;
    for (let trial = 0; trial < 200; trial++) {
      const full = Array.from({ length: n }, () => 20 + random());
      const plugIn = full.map((nll) => nll + 0.1 * noise());
      decided += Number(decides(comparisonOf(plugIn, full, { metric: 'perplexity', resamples: 400 })));
    }
    expect(decided / 200, `${n} rows`).toBeLessThanOrEqual(0.05);
  }
});

test('a perplexity that all rows lower is lower', () => {
  const full = Array.from({ length: 20 }, (_, i) => 20 + (i % 7));
  const plugIn = full.map((nll, i) => nll - 1 - (i % 3));
  expect(comparisonOf(plugIn, full, { metric: 'perplexity' }).certainty).toBe('holds');
});
