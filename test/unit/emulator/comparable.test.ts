import { expect, test } from 'vitest';
import { checkComparable } from '../../../src/emulator/similarity/comparable.ts';
import type { Likeness } from '../../../src/emulator/similarity/similarity.ts';

const smollm2 = { layers: 30, width: 576 };
const problem = (samples: number, metric: Likeness, memory: number): string => {
  try {
    checkComparable({ samples, ...smollm2 }, metric, memory);
    return '';
  } catch (error) {
    return (error as Error).message;
  }
};

test('the published probe fits anywhere, one of 8,192 samples is refused with what would fit', () => {
  expect(problem(512, 'linearCKA', 256 * 2 ** 20)).toBe('');
  const refused = problem(8192, 'linearCKA', 4 * 2 ** 30);
  expect(refused).toMatch(
    /^spec\.probe\.samples: comparing 8192 samples of 30 layers takes 9793Mi, .* 4096Mi; /,
  );
  const most = Number(/at most (\d+) samples/.exec(refused)?.[1]);
  expect(problem(most, 'linearCKA', 4 * 2 ** 30)).toBe('');
  expect(problem(Math.ceil(most / 0.94), 'linearCKA', 4 * 2 ** 30)).not.toBe('');
});

test('cosine and angular distances take memory by the sample, not by pairs of them', () => {
  expect(problem(8192, 'cosine', 4 * 2 ** 30)).toBe('');
  expect(problem(65_536, 'angular', 4 * 2 ** 30)).toContain('spec.probe.samples');
});
