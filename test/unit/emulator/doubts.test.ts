import { describe, expect, it } from 'vitest';
import { doubtsOf } from '../../../src/emulator/similarity/doubts.ts';

const rows = (...texts: string[]) => texts.map((text) => ({ text }));
const good = [
  [1, 0.9, 0.7],
  [0.9, 1, 0.8],
  [0.7, 0.8, 1],
];
const of = (value: number) => good.map((row, i) => row.map((_, j) => (i === j ? 1 : value)));

describe('a probe set', () => {
  it.each<[what: string, texts: string[], matrix: number[][], doubt: string | undefined]>([
    ['of unlike rows', ['a', 'b', 'c', 'd'], good, undefined],
    ['of one layer', ['a', 'b'], [[1]], undefined],
    ['of two rows twice each', ['a', 'b', 'a', 'b'], good, undefined],
    ['of equal rows', ['a', 'a', 'a'], good, 'all 3 rows of the probe set are equal'],
    [
      'of a few rows again and again',
      ['a', 'b', 'a', 'b', 'a'],
      good,
      "only 2 of the probe set's 5 rows differ",
    ],
    ['that finds all layers equal', ['a', 'b'], of(1), 'every similarity of two layers is 0 or 1'],
    ['that finds nothing alike', ['a', 'b'], of(0), 'every similarity of two layers is 0 or 1'],
    ['that finds all nearly equal', ['a', 'b'], of(0.9999), undefined],
  ])('%s', (_, texts, matrix, doubt) => {
    const found = doubtsOf(rows(...texts), matrix);
    if (doubt === undefined) expect(found).toBeUndefined();
    else expect(found).toContain(doubt);
  });
});
