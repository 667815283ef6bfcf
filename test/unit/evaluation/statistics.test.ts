import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { pairedBootstrap, signTest } from '../../../src/evaluation/index.ts';
import { scoresOf as rows } from '../../support/unit/evaluation/scores.ts';

const bits = fc.array(fc.constantFrom(0, 1), { minLength: 2, maxLength: 60 });

describe('pairedBootstrap', () => {
  test('of a cell with itself is no difference at all', () => {
    fc.assert(
      fc.property(bits, (values) => {
        const found = pairedBootstrap(rows(values), rows(values), 'acc', {
          resamples: 50,
        });
        expect(found).toEqual({ value: 0, stderr: 0, interval: [0, 0] });
      }),
    );
  });

  test.each(['acc', 'perplexity'] as const)('of one row has no error and no interval: %s', (metric) => {
    const found = pairedBootstrap(rows([3], 2), rows([1], 2), metric);
    expect(found.value).toBeGreaterThan(0);
    expect(found).toMatchObject({
      stderr: Number.NaN,
      interval: [Number.NaN, Number.NaN],
    });
  });

  test('turned round is the negative', () => {
    fc.assert(
      fc.property(bits, (values) => {
        const [a, b] = [rows(values), rows(values.toReversed())];
        const [there, back] = [
          pairedBootstrap(a, b, 'acc', { resamples: 50 }),
          pairedBootstrap(b, a, 'acc', { resamples: 50 }),
        ];
        expect(back.value).toBeCloseTo(-there.value, 12);
        expect(back.stderr).toBeCloseTo(there.stderr, 12);
      }),
    );
  });

  test('its standard error is that of the mean of the paired differences', () => {
    const a = Array.from({ length: 400 }, (_, i) => Number(i % 4 !== 0));
    const b = Array.from({ length: 400 }, (_, i) => Number(i % 2 === 0));
    const differences = a.map((value, i) => value - b[i]!);
    const mean = differences.reduce((x, y) => x + y, 0) / 400;
    const expected = Math.sqrt(differences.reduce((sum, d) => sum + (d - mean) ** 2, 0) / 400 / 400);
    const { value, stderr, interval } = pairedBootstrap(rows(a), rows(b), 'acc', { resamples: 4000 });
    expect(value).toBeCloseTo(mean, 12);
    expect(Math.abs(stderr - expected) / expected).toBeLessThan(0.05);
    expect(interval[0]).toBeCloseTo(mean - 1.96 * expected, 1);
    expect(interval[1]).toBeCloseTo(mean + 1.96 * expected, 1);
  });

  test('is stopped between two resamples', () => {
    let calls = 0;
    const beforeEach = () => {
      if (++calls > 3) throw new Error('stopped');
    };
    expect(() => pairedBootstrap(rows([1, 0]), rows([0, 1]), 'acc', { beforeEach })).toThrow('stopped');
    expect(calls).toBe(4);
  });

  test('perplexities are differences of exp of the mean over tokens; equal seeds give equal figures', () => {
    const [a, b] = [rows([10, 30], 10), rows([20, 20], 10)];
    const first = pairedBootstrap(a, b, 'perplexity', { resamples: 200, seed: 5 });
    expect(first.value).toBeCloseTo(0, 12);
    expect(pairedBootstrap(a, b, 'perplexity', { resamples: 200, seed: 5 })).toEqual(first);
    expect(pairedBootstrap(a, b, 'perplexity', { resamples: 200, seed: 6 }).stderr).not.toBe(first.stderr);
  });
});

test.each([
  [0, 0, 1],
  [4, 0, 0.125],
  [0, 5, 0.0625],
  [6, 0, 0.03125],
  [7, 1, 18 / 256],
  [9, 1, 22 / 1024],
  [5, 5, 1],
  [6, 5, 1],
  // by whole numbers of any size
  [115, 85, 0.04003719161],
  [50_500, 49_500, 0.00158235988],
])('the sign test of %d rows one way and %d the other', (one, other, p) => {
  expect(signTest(one, other)).toBeCloseTo(p, 10);
});
