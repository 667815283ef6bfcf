import { describe, expect, it } from 'vitest';
import { attacks, type Known } from '../../../bench/aggregation/attacks.ts';
import type { Finding } from '../../../bench/aggregation/findings.ts';
import { matrixTables } from '../../../bench/aggregation/tables.ts';
import { Random } from '../../../src/data/index.ts';
import { krumScores } from '../../../src/plugin/aggregation/krum.ts';

const known: Known = {
  honest: [
    [1, 0],
    [3, 0],
    [2, 3],
  ].map((values) => Float32Array.from(values)),
  own: Float32Array.from([2, -1]),
};
const sent = (name: string, of = known) =>
  attacks.find((attack) => attack.name === name)!.make(of, new Random(1));

describe('what attackers send', () => {
  it.each([
    ['none', [2, -1]],
    ['sign flip', [-20, 10]],
    ['scaling', [200, -100]],
    ['inner product', [-1, -0.5]],
    // Deviations with n in the denominator: sqrt(2 / 3) and sqrt(2).
    ['ALIE', [2 - 0.5 * Math.sqrt(2 / 3), 1 - 0.5 * Math.SQRT2]],
  ])('%s', (name, expected) => {
    expected.forEach((value, i) => {
      expect(sent(name)[i]).toBeCloseTo(value, 5);
    });
  });

  it('min-max lies as far from the honest as two of them lie from each other, and no farther', () => {
    const made = sent('min-max');
    const far = known.honest.map((change) => Math.hypot(change[0]! - made[0]!, change[1]! - made[1]!));
    // The two farthest honest changes are (1, 0) and (2, 3), or (3, 0) and it.
    expect(Math.max(...far)).toBeCloseTo(Math.sqrt(10), 3);
  });

  it('min-sum has as large a sum of squared distances as the honest change with the largest', () => {
    const made = sent('min-sum');
    const sumFrom = (point: Float32Array) =>
      known.honest.reduce(
        (sum, change) => sum + (change[0]! - point[0]!) ** 2 + (change[1]! - point[1]!) ** 2,
        0,
      );
    expect(sumFrom(made)).toBeCloseTo(10 + 10, 2);
  });

  it('against Krum: the farthest that Krum takes before any honest change', () => {
    const random = new Random(3);
    const honest = Array.from({ length: 7 }, () =>
      Float32Array.from({ length: 40 }, () => random.next() / 2 ** 31 - 1),
    );
    const made = sent('against Krum', { honest, own: honest[0]! });
    const mean = honest[0]!.map((_, i) => honest.reduce((sum, change) => sum + change[i]!, 0) / 7);
    const isChosen = (times: number) => {
      const point = mean.map((middle, i) => middle + times * (made[i]! - middle));
      const squared = (a: number, b: number) => {
        const [x, y] = [honest[a] ?? point, honest[b] ?? point];
        return x.reduce((sum, value, i) => sum + (value - y[i]!) ** 2, 0);
      };
      const scores = krumScores([...Array(10).keys()], { squared }, 3);
      return Math.min(...scores.slice(0, 7)) > scores[9]!;
    };
    expect([0.5, 0.999, 1.001, 2].map(isChosen)).toEqual([true, true, false, false]);
  });

  it('against the median: beyond all honest values, against the sign of their mean, up to twice as far', () => {
    const honest = [
      [1, -3, -1, 3],
      [2, -2, 2, -2],
      [3, -1, 2, -2],
    ].map((values) => Float32Array.from(values));
    const [a, b, c, d] = sent('against the median', { honest, own: honest[0]! });
    const ranges: [number, number, number][] = [
      [a!, 0.5, 1],
      [b!, -1, -0.5],
      [c!, -2, -1],
      [d!, 3, 6],
    ];
    for (const [value, low, high] of ranges) {
      expect(value).toBeGreaterThanOrEqual(low);
      expect(value).toBeLessThanOrEqual(high);
    }
  });

  it('noise has the size that it says, and each attacker its own', () => {
    const own = new Float32Array(20_000);
    const noise = sent('noise', { ...known, own });
    const deviation = Math.sqrt(noise.reduce((sum, value) => sum + value * value, 0) / noise.length);
    expect(deviation).toBeCloseTo(0.5, 2);
    const other = attacks.find(({ name }) => name === 'noise')!.make({ ...known, own }, new Random(1, 1));
    expect([...other.slice(0, 9)]).not.toEqual([...noise.slice(0, 9)]);
  });
});

describe('the tables', () => {
  const cell = (attack: string, method: string, rows: string, taken = [1, 2]): Finding => ({
    ...{ attack, method, rows, loss: 1, layers: 2, norm: '1' },
    taken: [...Array.from({ length: 7 }, () => taken[0]!), ...Array.from({ length: 3 }, () => taken[1]!)],
  });

  it('set each cell beside the mean without an attack, row by row, and mark what is worse by two errors', () => {
    const page = matrixTables([
      cell('none', 'mean', '1111111111110000'),
      cell('sign flip', 'mean', '0000000000000000'),
      cell('sign flip', 'median', '1111111111100000', [1, 0]),
    ]);
    expect(page).toMatch(/\| mean \| 0\.75 \| \*\*0\.00 \(-0\.75 ± 0\.1\d\)\*\* \|/);
    expect(page).toMatch(/\| median \| not run \| 0\.69 \(-0\.06 ± 0\.0\d\) \|/);
    expect(page).toMatch(/\| median \| not run \| 1\.00 \|/);
    // One layer of two of seven honest parties, and both of three attackers.
    expect(page).toMatch(/\| median \| not run \| 6 \/ 7 \|/);
  });

  it('say what was refused', () => {
    const refused = { ...cell('huge', 'at the door', ''), refused: 'too large' };
    expect(matrixTables([cell('none', 'mean', '10'), refused])).toContain('- huge (10⁶ g): too large');
  });
});
