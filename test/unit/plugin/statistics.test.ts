import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { RowScore } from '../../../src/emulator/index.ts';
import { checkGates, pairedBootstrap } from '../../../src/plugin/index.ts';

const rows = (values: readonly number[], weight = 1): RowScore[] =>
  values.map((value, row) => ({ row, value, weight }));
const bits = fc.array(fc.constantFrom(0, 1), { minLength: 2, maxLength: 60 });

describe('pairedBootstrap', () => {
  test('of a cell with itself is no difference at all', () => {
    fc.assert(
      fc.property(bits, (values) => {
        const { value, stderr, interval, pValue } = pairedBootstrap(rows(values), rows(values), 'acc', {
          resamples: 50,
        });
        expect({ value, stderr, interval, pValue }).toEqual({
          value: 0,
          stderr: 0,
          interval: [0, 0],
          pValue: 1,
        });
      }),
    );
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
    const { value, stderr, interval, pValue } = pairedBootstrap(rows(a), rows(b), 'acc', { resamples: 4000 });
    expect(value).toBeCloseTo(mean, 12);
    expect(Math.abs(stderr - expected) / expected).toBeLessThan(0.05);
    expect(interval[0]).toBeCloseTo(mean - 1.96 * expected, 1);
    expect(interval[1]).toBeCloseTo(mean + 1.96 * expected, 1);
    expect(pValue).toBeLessThan(0.01);
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

describe('checkGates', () => {
  const cell = (value: number) => ({ value, stderr: 0.01 });
  const cells = (full: number, emulator: number, tuned: number, plugIn: number) => ({
    ...{ fullZeroShot: cell(full), emulatorZeroShot: cell(emulator) },
    ...{ emulatorFineTuned: cell(tuned), plugIn: cell(plugIn) },
  });
  const passed = (...args: Parameters<typeof checkGates>) => checkGates(...args).map((gate) => gate.passed);

  test('the plug-in may equal the full model; the other two inequalities are strict', () => {
    expect(passed('t', 'acc', cells(0.5, 0.3, 0.4, 0.6))).toEqual([true, true, true]);
    expect(passed('t', 'acc', cells(0.5, 0.5, 0.5, 0.5))).toEqual([false, true, false]);
    expect(passed('t', 'acc', cells(0.5, 0.6, 0.7, 0.4))).toEqual([false, false, false]);
  });

  test('lower is better for perplexity', () => {
    expect(passed('t', 'perplexity', cells(20, 40, 30, 15))).toEqual([true, true, true]);
    expect(passed('t', 'perplexity', cells(20, 10, 12, 25))).toEqual([false, false, false]);
  });

  test('a tolerance is what may be missing', () => {
    const tolerances = { plugInAboveFullZeroShot: 0.125 };
    expect(passed('t', 'acc', cells(0.5, 0.25, 0.25, 0.375), tolerances)).toEqual([true, true, true]);
    expect(passed('t', 'acc', cells(0.5, 0.25, 0.25, 0.25), tolerances)).toEqual([true, false, false]);
  });

  test('a result names task, inequality, figures and tolerance', () => {
    expect(
      checkGates('words', 'acc', cells(0.5, 0.3, 0.4, 0.45), { plugInAboveFullZeroShot: 0.01 })[1],
    ).toEqual({
      name: 'words/plugInAboveFullZeroShot',
      passed: false,
      message: 'acc: plugIn 0.4500, fullZeroShot 0.5000, tolerance 0.01',
    });
  });
});
