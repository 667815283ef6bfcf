import { describe, expect, test } from 'vitest';
import { checkGates } from '../../../src/plugin/gates.ts';
import { exactOf, valuesOf } from '../../../src/plugin/measured.ts';

describe('checkGates', () => {
  const cells = (full: number, emulator: number, tuned: number, plugIn: number) => ({
    ...{ fullZeroShot: full, emulatorZeroShot: emulator, emulatorFineTuned: tuned, plugIn },
  });
  const passed = (...args: Parameters<typeof checkGates>) => checkGates(...args).map((gate) => gate.passed);

  test('the plug-in may equal the full model; the other two inequalities are strict', () => {
    expect(passed('t', 'acc', cells(0.5, 0.3, 0.4, 0.6))).toEqual([true, true, true]);
    expect(passed('t', 'acc', cells(0.5, 0.5, 0.5, 0.5))).toEqual([false, true, false]);
    expect(passed('t', 'acc', cells(0.5, 0.6, 0.7, 0.4))).toEqual([false, false, false]);
  });

  test.each([
    [cells(20, 40, 30, Infinity), [true, false, false]],
    [cells(Infinity, Infinity, Infinity, Infinity), [false, false, false]],
    [cells(20, Infinity, 30, 15), [false, true, true]],
  ])('a destroyed model passes nothing: %j', (values, expected) => {
    expect(passed('t', 'perplexity', values)).toEqual(expected);
    expect(passed('t', 'perplexity', values, { plugInAboveFullZeroShot: 1000 })[1]).toBe(expected[1]);
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

  test.each([32, 100, 496, 10_000])(
    'what is missing by exactly the tolerance passes, by one row of %i more it does not',
    (n) => {
      const rows = Array.from({ length: 32 }, (_, i) => Math.floor((i * n) / 32));
      const pairs = rows.flatMap((worse, i) => rows.slice(i + 1).map((better) => [better, worse] as const));
      expect(pairs).toHaveLength(496);
      for (const [better, worse] of pairs) {
        // As a spec would have it: a decimal, in quotes.
        const tolerance = Number(((better - worse) / n).toFixed(7));
        if (tolerance * n !== Math.round(tolerance * n)) continue;
        const tolerances = { plugInAboveFullZeroShot: tolerance, plugInAboveEmulatorFineTuned: tolerance };
        const exact = cells(better / n, 0, better / n, worse / n);
        expect(passed('t', 'acc', exact, tolerances).slice(1), `${better} ${worse}`).toEqual([true, false]);
        const oneMore = cells((better + 1) / n, 0, better / n, worse / n);
        expect(passed('t', 'acc', oneMore, tolerances)[1], `${better + 1} ${worse}`).toBe(false);
      }
    },
  );

  test('decimals that doubles do not hold: 0.3 is not below 0.31 by more than 0.01', () => {
    const tolerances = { plugInAboveFullZeroShot: 0.01 };
    expect(0.3 - 0.31 < -0.01).toBe(true);
    expect(passed('t', 'acc', cells(0.31, 0.2, 0.2, 0.3), tolerances)[1]).toBe(true);
    expect(passed('t', 'perplexity', cells(0.3, 0.4, 0.4, 0.31), tolerances)[1]).toBe(true);
  });

  test('figures that differ only behind the fourth decimal are compared all the same, and the message says so', () => {
    const [, gate] = checkGates('words', 'perplexity', cells(12.00001, 20, 15, 12.00004));
    expect(gate).toEqual({
      name: 'words/plugInAboveFullZeroShot',
      passed: false,
      message: 'perplexity: plugIn 12.0000, fullZeroShot 12.0000, tolerance 0 (difference 3.0e-5)',
    });
  });

  test.each([
    ['acc', 500, false],
    ['acc', 4999, false],
    ['acc_norm', 20_000, true],
    ['perplexity', 10, true],
  ] as const)(
    '%s of %i rows: what is kept tells the cells as they were measured',
    (metric, samples, kept) => {
      const values = cells(1 / samples, 3 / samples, (samples - 1) / samples, 1 - 2 / samples);
      const cell = (value: number) => ({ value: value.toFixed(4), stderr: '0.0100' });
      const { fullZeroShot, emulatorZeroShot, emulatorFineTuned, plugIn } = values;
      const rounded = {
        fullZeroShot: cell(fullZeroShot),
        emulatorZeroShot: cell(emulatorZeroShot),
        emulatorFineTuned: cell(emulatorFineTuned),
        plugIn: cell(plugIn),
      };
      const exact = exactOf({ metric, samples }, values);
      expect(exact.exact !== undefined).toBe(kept);
      const { fullZeroShot: full, plugIn: plugged } = valuesOf({
        task: 't',
        metric,
        samples,
        cells: rounded,
        differences: [],
        ...exact,
      });
      expect([full, plugged]).toEqual([values.fullZeroShot, (samples - 2) / samples]);
    },
  );

  test('of pair_acc nothing is compared: whatever gives tokens another likelihood leans by how long answers are', () => {
    expect(checkGates('t', 'pair_acc', cells(0.5, 0.3, 0.9, 0.6))).toEqual([]);
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
