import { describe, expect, it } from 'vitest';
import { Random } from '../../../../src/data/index.ts';
import {
  areaUnderCurve,
  exactInterval,
  leastOthers,
  truePositives,
} from '../../../../src/tuning/audit/statistics.ts';

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

describe('true positives at one in a hundred', () => {
  const upTo = (count: number) => Array.from({ length: count }, (_, i) => i);

  it('are those above what one more of the others is above with 1 %', () => {
    // The second highest of 200: 2 of 201 ranks are above it.
    expect(truePositives([197, 198, 198.5, 500], upTo(200), 0.01).value).toBe(0.5);
    // Of fewer than 99 no rank is as rare.
    expect(truePositives([96, 97, 98], upTo(98), 0.01).value).toBeCloseTo(1 / 3, 12);
  });

  // By SciPy: binom.cdf and binom.sf give the ranks 4 and 19 of 1,000, beta.ppf the ends, with 1.25 % outside each.
  it('have the interval of both draws', () => {
    const members = [...Array(20).fill(2000), ...Array(40).fill(985), ...Array(140).fill(0)];
    const { value, low, high } = truePositives(members, upTo(1000), 0.01);
    expect(value).toBe(0.1);
    expect(low).toBeCloseTo(0.0578215948, 8);
    expect(high).toBeCloseTo(0.3784091475, 8);
  });

  it('have no lower end where the others do not tell what one in a hundred is', () => {
    expect(leastOthers(0.01)).toBe(437);
    const members = upTo(1000).map((score) => score + 1000);
    expect(truePositives(members, upTo(436), 0.01)).toEqual({ value: 1, low: 0, high: 1 });
    expect(truePositives(members, upTo(437), 0.01).low).toBeGreaterThan(0.99);
  });

  // Told nothing, one in a hundred members is above the others' 99 %; told something, some 9 % are (normal, moved by one).
  it.each([
    [100, 0, 0.01],
    [500, 0, 0.01],
    [1000, 0, 0.01],
    [1000, 1, 0.0924],
  ])('have it right in 95 of 100 draws at least: %d others, moved by %d', (count, moved, truth) => {
    const random = new Random(count + moved, 1);
    const normal = () =>
      Math.sqrt(-2 * Math.log(1 - random.next() / 2 ** 32)) *
      Math.cos(2 * Math.PI * (random.next() / 2 ** 32));
    const draws = upTo(300).map(() => {
      const members = upTo(1000).map(() => normal() + moved);
      return truePositives(members, upTo(count).map(normal), 0.01);
    });
    const wrong = draws.filter(({ low, high }) => low > truth || high < truth).length;
    expect(wrong).toBeLessThan(0.05 * 300);
    if (moved === 0) expect(draws.reduce((sum, { value }) => sum + value, 0) / 300).toBeCloseTo(0.01, 2);
  });
});
