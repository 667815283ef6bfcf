import { expect, test } from 'vitest';
import { certaintySentence, compare, judge } from '../../../src/report/verdict.ts';
import { taskResult } from '../../support/unit/report/records.ts';

test.each([
  ['all three differences exclude zero', {}, 'worked', 'lifts the full model from 64.6% to 78.6%'],
  [
    'the gain is smaller than its standard error',
    { plugged: 0.656, tuned: 0.4 },
    'undecided',
    'the difference is within the standard error (1.8 points)',
  ],
  [
    'the gain is larger than its standard error, but not enough',
    { plugged: 0.676, tuned: 0.4 },
    'undecided',
    'the 95% interval of the difference (−0.5 to +6.5) includes zero',
  ],
  [
    'a loss that its interval does not exclude',
    { plugged: 0.62, tuned: 0.4 },
    'undecided',
    'includes zero, on the wrong side',
  ],
  [
    'the model got worse',
    { plugged: 0.5, tuned: 0.4 },
    'failed',
    'makes the full model worse, 64.6% to 50.0%',
  ],
  ['the emulator is better', { tuned: 0.9 }, 'failed', 'no reason to send the adapter back'],
  ['no better than the emulator', { tuned: 0.78 }, 'undecided', 'not shown to beat the fine-tuned emulator'],
  [
    'the emulator is as good as the model',
    { emulator: 0.64 },
    'undecided',
    'not shown to be worse than the full model',
  ],
  ['the emulator is better than the model', { emulator: 0.75 }, 'failed', 'gives the model away'],
] as const)('%s', (_, values, outcome, says) => {
  const verdict = judge(taskResult(values));
  expect(verdict.outcome).toBe(outcome);
  expect(verdict.headline).toContain(says);
});

test('of pair_acc nothing is judged, whichever answers are the longer ones', () => {
  for (const plugged of [0, 0.5, 1]) {
    const verdict = judge(taskResult({ metric: 'pair_acc', full: 0.5, emulator: 0.3, tuned: 0.9, plugged }));
    expect(verdict.outcome).toBe('told');
    expect(verdict.comparisons).toBeUndefined();
    expect(verdict.headline).toContain(`in ${(100 * plugged).toFixed(1)}% of the pairs, which is told`);
  }
});

test('of fewer than ten rows nothing is decided, whatever the interval says', () => {
  const all = { full: 0.5, emulator: 0, tuned: 0.5, plugged: 1 };
  expect(judge(taskResult({ ...all, samples: 12 })).outcome).toBe('worked');
  const verdict = judge(taskResult({ samples: 9 }));
  expect(verdict).toMatchObject({
    outcome: 'undecided',
    headline: expect.stringContaining('there are too few rows to decide it: fewer than 10 rows'),
  });
  expect(certaintySentence(verdict.comparisons!.plugInAboveFull)).toBe('Not decided: fewer than 10 rows.');
});

test('for perplexity lower is better', () => {
  const lower = { metric: 'perplexity', full: 20, emulator: 60, tuned: 30, plugged: 12, stderr: 1 };
  const verdict = judge(taskResult(lower));
  expect(verdict.outcome).toBe('worked');
  const { lead, low, high } = verdict.comparisons!.plugInAboveFull;
  expect([lead, low, high]).toEqual([8, 6.04, 9.96]);
  expect(judge(taskResult({ ...lower, plugged: 25 })).outcome).toBe('failed');
});

test('without a paired difference the errors of both cells add up', () => {
  const comparison = compare(taskResult(), 'fullZeroShot', 'emulatorZeroShot');
  expect(comparison.paired).toBe(false);
  expect(comparison.stderr).toBeCloseTo(0.036, 10);
  expect(compare(taskResult(), 'plugIn', 'fullZeroShot').paired).toBe(true);
});

test('where the difference has no number nothing is decided, and rows are not said to be few', () => {
  const verdict = judge(taskResult({ stderr: Number.NaN }));
  expect(verdict).toMatchObject({
    outcome: 'undecided',
    headline: expect.stringContaining('the difference or its interval is not a number'),
  });
  expect(certaintySentence(verdict.comparisons!.plugInAboveFull)).toBe(
    'Not decided: the difference or its interval is not a number.',
  );
});

test.each([
  ['a perplexity whose square has no number', '2.82e+155', 'Infinity', '1.01e+148', '4.3e+162', '2.82e+155'],
  ['an infinite perplexity', 'Infinity', 'NaN', 'Infinity', 'Infinity', '∞'],
])('%s is worse where its interval says so', (_, value, stderr, low, high, told) => {
  const result = taskResult({ metric: 'perplexity', full: 1386, emulator: 2000, tuned: 1500, stderr: 1 });
  const verdict = judge({
    ...result,
    cells: { ...result.cells, plugIn: { value, stderr } },
    differences: result.differences!.map(({ name }) => ({ name, value, stderr, low, high })),
  });
  expect(verdict.outcome).toBe('failed');
  expect(verdict.headline).toContain(`makes the full model worse, 1386 to ${told}`);
  expect(certaintySentence(verdict.comparisons!.plugInAboveEmulator)).toBe(
    'It is the other way round, and the interval excludes zero.',
  );
});

test('two infinite perplexities have no difference', () => {
  const result = taskResult({ metric: 'perplexity', full: 1386, plugged: 1000, stderr: 1 });
  const differences = result.differences!.map(({ name }) => ({
    ...{ name, value: 'NaN', stderr: 'NaN', low: 'NaN', high: 'NaN' },
  }));
  const { lead, certainty } = judge({ ...result, differences }).comparisons!.plugInAboveEmulator;
  expect([lead, certainty]).toEqual([Number.NaN, 'within']);
});

test('an interval that includes zero decides nothing, also where the error has no number', () => {
  const result = taskResult({ metric: 'perplexity', full: 1386, plugged: 1000, stderr: 1 });
  const differences = result.differences!.map((found) => ({
    ...found,
    stderr: 'Infinity',
    low: '-100.0000',
    high: '4e+160',
  }));
  const { plugInAboveFull } = judge({ ...result, differences }).comparisons!;
  expect(certaintySentence(plugInAboveFull)).toBe('It points the right way, but the interval includes zero.');
});
