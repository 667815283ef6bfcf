import { expect, test } from 'vitest';
import type { PackedBatch } from '../../../../src/data/index.ts';
import { keptAbility, shareOfGain } from '../../../../src/emulator/leak/ability.ts';
import { exactShare } from '../../../../src/emulator/leak/exact-share.ts';
import { rowLeak } from '../../../../src/emulator/leak/leak.ts';
import { unigramOf } from '../../../../src/emulator/leak/unigram.ts';
import type { RowLikelihood } from '../../../../src/evaluation/index.ts';

test('the share of exact tensors and parameters, and the ability kept', () => {
  const model = [
    { name: 'embed', shape: [10, 4] },
    { name: 'a', shape: [4, 4] },
    { name: 'b', shape: [4] },
    { name: 'c', shape: [4] },
  ];
  expect(exactShare(model, new Set(['embed', 'c', 'foreign']))).toEqual({
    tensors: 0.5,
    parameters: 44 / 64,
  });
  expect(keptAbility('acc', { full: 0.5, emulator: 0.3 })).toBeCloseTo(0.6);
  expect(keptAbility('perplexity', { full: 10, emulator: 40 })).toBeCloseTo(0.25);
  expect(keptAbility('exact_match', { full: 0, emulator: 0 })).toBeUndefined();
});

test('a share of a gain is counted from what knows nothing; where nothing is gained there is none', () => {
  expect(shareOfGain({ full: 0.75, emulator: 0.5, nothing: 0.25 })).toBe(0.5);
  expect(shareOfGain({ full: 0.75, emulator: 0.2, nothing: 0.25 })).toBeCloseTo(-0.1);
  expect(shareOfGain({ full: 0.25, emulator: 0.5, nothing: 0.25 })).toBeUndefined();
});

test('the unigram model is smoothed by Witten and Bell: it sums to 1, and what was not seen shares T / (N + T)', () => {
  const unigram = unigramOf([3, 3, 3, 1], 8);
  const likelihoods = Array.from({ length: 8 }, (_, token) => Math.exp(-unigram(token)));
  expect(likelihoods.reduce((sum, p) => sum + p)).toBeCloseTo(1, 12);
  expect(likelihoods[3]).toBeCloseTo((3 + 2 / 8) / 6, 12);
  expect(likelihoods[0]).toBeCloseTo(2 / 8 / 6, 12);
  expect(unigramOf([], 8)(5)).toBe(Math.log(8));
});

const said = (likelihoods: RowLikelihood[], greedyTokens: number[]) => ({
  likelihoods,
  greedyTokens: Int32Array.from(greedyTokens),
});
const batchOf = (targets: PackedBatch['targets']): PackedBatch => ({
  ...{ size: 1, length: 4, tokens: 4, targets },
  ...{ ids: new Int32Array(4), positions: new Int32Array(4) },
  ...{ rows: new Int32Array(4), branches: new Int32Array(4) },
});
const nats = (row: number) => -Math.log([0.5, 0.25, 0.125, 0.25][row]!);

test('text: shares of nats and of likelihood, agreement of tokens; errors by the delta method', () => {
  const rows = 400;
  // of rows of 2 tokens full model, emulator and control say other things
  const likelihoods = (of: (row: number) => number) =>
    Array.from({ length: rows }, (_, row) => ({ row, logLikelihood: [-of(row)], tokens: [2] }));
  const [full, emulator, control] = [
    (row: number) => 2 + (row % 2),
    (row: number) => 4 + (row % 3),
    (row: number) => 10 + (row % 5),
  ] as const;
  const task = {
    ...{ name: 'rows', metric: 'perplexity' as const },
    examples: Array.from({ length: rows }, (_, row) => ({ row, trunk: [1, 2, 3], branches: [], bytes: [] })),
    batches: [
      batchOf(
        Array.from({ length: 2 * rows }, (_, i) => ({
          from: 0,
          token: i % 4,
          row: Math.floor(i / 2),
          branch: 0,
        })),
      ),
    ],
  };
  const chosen = Array.from({ length: 2 * rows }, (_, i) => i);
  const leak = rowLeak({
    task,
    full: said(likelihoods(full), chosen),
    emulator: said(
      likelihoods(emulator),
      chosen.map((i) => (i % 8 === 0 ? -1 : i)),
    ),
    control: likelihoods(control),
    unigram: nats,
  });
  const all = Array.from({ length: rows }, (_, row) => row);
  const sum = (of: (row: number) => number) => all.reduce((total, row) => total + of(row), 0);
  const unigram = (row: number) => nats((2 * row) % 4) + nats((2 * row + 1) % 4);
  const ratio = (top: (row: number) => number, bottom: (row: number) => number) => {
    const value = sum(top) / sum(bottom);
    const squares = sum((row) => (top(row) - value * bottom(row)) ** 2);
    return { value, stderr: Math.sqrt((squares * rows) / (rows - 1)) / Math.abs(sum(bottom)) };
  };
  const agreement = ratio(
    (row) => ((2 * row) % 8 === 0 ? 1 : 2),
    () => 2,
  );
  expect(leak.greedyAgreement!.value).toBeCloseTo(agreement.value, 12);
  expect(leak.greedyAgreement!.stderr / agreement.stderr).toBeCloseTo(1, 1);
  expect(leak.greedyAgreement!.low).toBeLessThan(agreement.value - agreement.stderr);
  expect(leak.greedyAgreement!.high).toBeGreaterThan(agreement.value + agreement.stderr);
  // the unigram model is better than the emulator on these rows: less than nothing is kept
  const bits = ratio(
    (row) => unigram(row) - emulator(row),
    (row) => unigram(row) - full(row),
  );
  expect(bits.value).toBeLessThan(0);
  expect(leak.bitsKept!.value).toBeCloseTo(bits.value, 9);
  const likelihood = (of: (row: number) => number) => Math.exp(-sum(of) / (2 * rows));
  expect(leak.correctedCpl!.value).toBeCloseTo(
    (likelihood(emulator) - likelihood(control)) / (likelihood(full) - likelihood(control)),
    12,
  );
  expect(leak.control.value).toBeCloseTo(1 / likelihood(control), 9);
});

/** Rows of two choices; `right` tells which rows a model gets right. */
function questions(rows: number, right: Record<'full' | 'emulator' | 'control', (row: number) => boolean>) {
  const likelihoods = (isRight: (row: number) => boolean) =>
    Array.from({ length: rows }, (_, row) => ({
      ...{ row, tokens: [0, 1, 1] },
      logLikelihood: [0, isRight(row) ? -1 : -3, -2],
    }));
  const examples = Array.from({ length: rows }, (_, row) => ({
    ...{ row, trunk: [1], branches: [[2], [3]], bytes: [1, 1], answer: 0 },
  }));
  const targets = examples.flatMap(({ row }) => [1, 2].map((branch) => ({ from: 0, token: 2, row, branch })));
  const none = targets.map(() => 0);
  return rowLeak({
    task: { name: 'questions', metric: 'acc', examples, batches: [batchOf(targets)] },
    full: said(likelihoods(right.full), none),
    emulator: said(likelihoods(right.emulator), none),
    control: likelihoods(right.control),
    unigram: () => 4,
  });
}

test('questions: the accuracy over the control’s, and the nats of right answers alone', () => {
  const leak = questions(100, {
    full: (row) => row < 80,
    emulator: (row) => row < 50,
    control: (row) => row % 4 === 0,
  });
  expect(leak.control.value).toBe(0.25);
  expect(leak.correctedCpl!.value).toBeCloseTo((0.5 - 0.25) / (0.8 - 0.25), 12);
  expect(leak.bitsKept!.value).toBeCloseTo((4 - (50 + 150) / 100) / (4 - (80 + 60) / 100), 12);
  expect(leak.greedyAgreement).toEqual({ value: 1, stderr: 0, low: 1, high: 1 });
});

test('a full model that is not told from the control has no corrected CPL', () => {
  const right = (row: number) => row % 2 === 0;
  const leak = questions(50, { full: (row) => right(row) || row === 1, emulator: right, control: right });
  expect(leak.correctedCpl).toBeUndefined();
  expect(leak.control.value).toBe(0.5);
});
