import { describe, expect, it } from 'vitest';
import { type Example, Random } from '../../../../src/data/index.ts';
import { canaries, exposureOf, ranked } from '../../../../src/tuning/audit/canaries.ts';
import { membershipOf, notAmong, someRows } from '../../../../src/tuning/audit/membership.ts';

const options = { count: 5, seed: 3, vocabulary: 1000 };

describe('canaries', () => {
  it('are trained on as the first of the answers that they are ranked among', () => {
    const trained = canaries(options, 40);
    const all = ranked({ ...options, candidates: 7 });
    expect(trained.map(({ row }) => row)).toEqual([40, 41, 42, 43, 44]);
    trained.forEach(({ trunk, branches }, i) => {
      expect(all[i]).toMatchObject({ trunk, answer: 0 });
      expect(all[i]!.branches).toHaveLength(8);
      expect(branches).toEqual([all[i]!.branches[0]]);
    });
    expect(new Set(all.flatMap(({ branches }) => branches.map(String))).size).toBe(40);
  });

  it('stand first where training told each of them, and have chance where it told none', () => {
    const random = new Random(1);
    const noise = () => random.next() / 2 ** 32;
    const gains = (own: number) =>
      Array.from({ length: 400 }, () => [own + noise(), ...Array.from({ length: 15 }, noise)]);
    expect(exposureOf(gains(1))).toMatchObject({
      candidates: 15,
      most: 4,
      exposure: { value: 4, low: 4, high: 4 },
    });
    const { exposure, chance } = exposureOf(gains(0));
    // log2(16) - log2(16!) / 16
    expect(chance).toBeCloseTo(4 - 44.25014 / 16, 5);
    expect(exposure.low).toBeLessThan(chance);
    expect(exposure.high).toBeGreaterThan(chance);
  });
});

describe('membership', () => {
  it('compares rows by their right answers alone, and as many as are asked for', () => {
    const example: Example = {
      row: 2,
      trunk: [1],
      branches: [[2], [3, 4]],
      starts: [0, 1],
      answer: 1,
      bytes: [1, 2],
    };
    expect(someRows([example], { limit: 9, seed: 1, set: 0 })).toEqual([
      { row: 2, trunk: [1], branches: [[3, 4]], starts: [1], answer: 0, bytes: [2] },
    ]);
    const many = Array.from({ length: 50 }, (_, row) => ({ ...example, row }));
    const some = (set: 0 | 1) => someRows(many, { limit: 10, seed: 1, set }).map(({ row }) => row);
    expect(some(0)).toHaveLength(10);
    expect(some(0)).toEqual(some(0).toSorted((a, b) => a - b));
    expect(some(0)).not.toEqual(some(1));
  });

  it('takes no row for one that was not trained on that was, by its tokens with the right answer', () => {
    const trained: Example = { row: 7, trunk: [1, 2], branches: [[3]], answer: 0, bytes: [1] };
    const same: Example = {
      row: 0,
      trunk: [1],
      branches: [[9], [2, 3]],
      starts: [1, 1],
      answer: 1,
      bytes: [1, 2],
    };
    const other: Example = { ...same, answer: 0 };
    const text: Example = { row: 3, trunk: [1, 2, 3, 4], branches: [], bytes: [] };
    expect(notAmong([same, other, text], [trained])).toEqual([other, text]);
    expect(notAmong([text], [{ ...text, row: 9 }])).toEqual([]);
    expect(membershipOf([1], [0], 2).doubts).toContain(
      '; 2 of the validation rows are training rows too, and were left out',
    );
  });

  it('says where there are too few rows for one in a hundred', () => {
    const scores = (count: number) => Array.from({ length: count }, (_, i) => i);
    expect(membershipOf(scores(5), scores(436)).doubts).toMatch(/fewer than 437 validation rows/);
    expect(membershipOf(scores(5), scores(437))).not.toHaveProperty('doubts');
  });
});
