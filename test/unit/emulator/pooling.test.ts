import { expect, test } from 'vitest';
import {
  isSum,
  type Pooling,
  poolingWeights,
  poolRows,
  rowsIn,
} from '../../../src/emulator/probe/pooling.ts';

// two rows interleaved with padding: row 4 has tokens (1, -8), (2, 5), (6, 0); row 7 has (3, 3)
const hidden = Float32Array.of(1, -8, 2, 5, 99, 99, 3, 3, 6, 0);
const rows = Int32Array.of(4, 4, -1, 7, 4);

const expected: [Pooling, number[], number[]][] = [
  ['mean', [3, -1], [4, 2.5]],
  ['meanWeighted', [23 / 6, 2 / 6], [22 / 5, 10 / 5]],
  ['last', [6, 0], [6, 0]],
  ['first', [1, -8], [2, 5]],
  ['max', [6, 5], [6, 5]],
  ['min', [1, -8], [2, 0]],
];

test.each(expected)(
  '%s over packed rows, with and without the first token',
  (pooling, whole, withoutFirst) => {
    const pooled = poolRows(hidden, 2, rows, { pooling });
    expect([...pooled.keys()]).toEqual([4, 7]);
    expect(pooled.get(4)).toEqual(Float32Array.from(whole));
    expect(pooled.get(7)).toEqual(Float32Array.of(3, 3));
    const long = rows.map((row) => (row === 7 ? -1 : row));
    expect(poolRows(hidden, 2, long, { pooling, skipFirst: true }).get(4)).toEqual(
      Float32Array.from(withoutFirst),
    );
  },
);

test('a row of one token has nothing left without its first, and says its number', () => {
  expect(() => poolRows(hidden, 2, rows, { pooling: 'mean', skipFirst: true })).toThrow(
    /row 8 has one token/,
  );
});

test('NaN is not hidden by max or min', () => {
  const broken = Float32Array.of(1, Number.NaN, 3);
  const pooled = poolRows(broken, 1, Int32Array.of(0, 0, 0), { pooling: 'max' });
  expect(pooled.get(0)).toEqual(Float32Array.of(Number.NaN));
});

test('pooled means are as exact as float64 sums', () => {
  const long = new Float32Array(3001).fill(1);
  long[0] = 2 ** 24;
  const mean = poolRows(long, 1, new Int32Array(3001), { pooling: 'mean' }).get(0)![0];
  expect(mean).toBe(Math.fround((2 ** 24 + 3000) / 3001));
});

test.each(['mean', 'meanWeighted', 'last', 'first'] as const)(
  'the weights of %s give the same vectors',
  (pooling) => {
    for (const skipFirst of [false, true]) {
      const options = { pooling, skipFirst };
      const [some, numbers] = [
        Int32Array.of(7, 7, 7, 4, 4, -1),
        Float32Array.of(1, -2, 3, 4, 5, 6, 7, 8, 9, 1, 99, 99),
      ];
      const { rows: count, weights } = poolingWeights(some, options);
      expect(count).toBe(2);
      const right = poolRows(numbers, 2, some, options);
      for (const [i, row] of rowsIn(some).entries()) {
        const vector = [0, 1].map((d) =>
          some.reduce(
            (sum, _, token) => sum + weights[i * some.length + token]! * numbers[2 * token + d]!,
            0,
          ),
        );
        vector.forEach((value, d) => {
          expect(value).toBeCloseTo(right.get(row)![d]!, 5);
        });
      }
    }
  },
);

test('the greatest and the least are no sums', () => {
  expect((['mean', 'meanWeighted', 'last', 'first', 'max', 'min'] as const).map(isSum)).toEqual([
    ...[true, true, true, true, false, false],
  ]);
});
