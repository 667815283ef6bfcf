import { describe, expect, it } from 'vitest';
import type { Emit } from '../../../src/progress/index.ts';
import { refuseDiverged, suspectAt, warnOfNoLoss, warnOfZeros } from '../../../src/tuning/not-finite.ts';

const said = (warn: (emit: Emit) => void) => {
  const messages: unknown[] = [];
  warn((event) => messages.push('message' in event && event.message));
  return messages;
};

describe('numbers that are not finite', () => {
  it('in few rows of a private training name the learning rate, the emulator and the start', () => {
    const rows = { taken: 40, clipped: 3, notFinite: 20 };
    const few = (hasStart: boolean) => said((emit) => warnOfZeros({ rows }, hasStart, emit));
    const counted = '20 of 40 gradients of rows were not finite and counted as zero, so that privacy holds';
    expect(few(false)).toEqual([
      `${counted}: lower spec.training.learningRate, or ask who made the emulator (docs/privacy.md)`,
    ]);
    expect(few(true)).toEqual([
      `${counted}: lower spec.training.learningRate, or ask who made the emulator or the adapter of spec.start (docs/privacy.md)`,
    ]);
    expect(said((emit) => warnOfZeros({ rows: { taken: 40, clipped: 3 } }, true, emit))).toEqual([]);
  });

  it('in most of them say that it was trained on noise, and whose fault it is', () => {
    const rows = { taken: 41, clipped: 5, notFinite: 36 };
    expect(said((emit) => warnOfZeros({ rows }, true, emit))).toEqual([
      '36 of 41 gradients of rows were not finite and counted as zero, so that privacy holds: what was trained is noise for the most part, and the emulator or the adapter of spec.start is at fault, or spec.training.learningRate far too high: ask who made it before epsilon is spent again (docs/privacy.md)',
    ]);
  });

  it('in the first two steps from an adapter name it, and later the learning rate alone', () => {
    expect([1, 2, 3].map((step) => suspectAt(step, true))).toEqual([
      'the adapter of spec.start',
      'the adapter of spec.start',
      undefined,
    ]);
    expect(suspectAt(1, false)).toBeUndefined();
    const diverged = (step: number, hasStart: boolean) => () =>
      refuseDiverged(Number.NaN, [], { step }, hasStart);
    const words =
      'the training has diverged: the validation loss is not finite; lower spec.training.learningRate';
    expect(diverged(2, true)).toThrow(new RegExp(`^step 2: ${words}, or look at the adapter of spec.start$`));
    expect(diverged(2, false)).toThrow(new RegExp(`^step 2: ${words}$`));
    expect(diverged(3, true)).toThrow(new RegExp(`^step 3: ${words}$`));
    diverged(0, true)();
    refuseDiverged(1, [], { step: 1 }, true);
  });

  it('of validation rows in a private training are told with both', () => {
    const evaluations = [{ step: 4, loss: Number.NaN }] as never;
    expect(said((emit) => warnOfNoLoss({ evaluations }, true, emit))).toEqual([
      'the validation loss of step 4 is not finite: the adapter may be worth nothing; lower spec.training.learningRate, or ask who made the emulator or the adapter of spec.start (docs/privacy.md)',
    ]);
  });
});
