import { describe, expect, it, test } from 'vitest';
import { areaUnderCurve, exactInterval, truePositives } from '../../../../src/tuning/audit/statistics.ts';

describe('the interval of Clopper and Pearson', () => {
  // Ends at which the binomial's tail is 2.5 %, found by bisection of the summed tail in another program.
  it.each([
    [0, 10, 0, 0.3084971078],
    [3, 50, 0.0125485878, 0.1654819466],
    [10, 10, 0.6915028922, 1],
    [7, 1000, 0.0028188588, 0.014369195],
    [1, 2, 0.0125791171, 0.9874208829],
    [900, 1000, 0.8797120635, 0.9178946656],
    [10, 1200, 0.0040031817, 0.0152717417],
    [10, 5000, 0.0009594813, 0.0036749855],
    [5000, 10000, 0.4901513806, 0.5098486194],
    [1, 100_000, 2.531780478e-7, 0.0000557152],
    [1000, 100_000, 0.0093925561, 0.0106361115],
  ])('of %d of %d', (found, count, low, high) => {
    const interval = exactInterval(found, count);
    expect(interval.low).toBeCloseTo(low, 8);
    expect(interval.high).toBeCloseTo(high, 8);
  });

  it('of very many is there at once', () => {
    const { low, high } = exactInterval(99_000, 100_000);
    expect(low).toBeGreaterThan(0.989);
    expect(high).toBeLessThan(0.991);
  });
});

describe('the area under the curve', () => {
  it("is the share of pairs in order, ties by half, with DeLong's interval (NumPy: 0.8, variance 0.0194444)", () => {
    const { value, low, high } = areaUnderCurve([3.1, 2.2, 5.0, 4.4, 1.0, 2.2], [1.5, 2.2, 0.3, 3.0, -1.0]);
    expect(value).toBeCloseTo(0.8, 12);
    expect(low).toBeCloseTo(0.5266960801, 9);
    expect(high).toBe(1);
  });

  it('of scores that do not overlap is 1, and no more certain than so few rows make it', () => {
    expect(areaUnderCurve([2, 3, 4], [0, 1, 1])).toEqual({ value: 1, ...exactInterval(3, 3) });
    expect(areaUnderCurve([0, 1], [2, 3]).value).toBe(0);
  });

  it('of equal scores is chance', () => {
    expect(areaUnderCurve([1, 1], [1, 1, 1])).toMatchObject({ value: 0.5 });
  });
});

test('true positives are those above what one in a hundred others is above', () => {
  const others = Array.from({ length: 200 }, (_, i) => i);
  // Two of 200 may be above: 198 and 199.
  expect(truePositives([197, 198, 198.5, 500], others, 0.01).value).toBe(0.75);
  // Of fewer than 100 none may be.
  expect(truePositives([98, 99, 100], others.slice(0, 99), 0.01)).toMatchObject({ value: 2 / 3 });
});
