import { expect, test } from 'vitest';
import { Random } from '../../../../src/data/index.ts';
import {
  type Budgets,
  type Candidate,
  choose,
  chooseSealed,
  doubtOf,
  doubtOfAgreement,
  verdictOf,
} from '../../../../src/emulator/auto/choose.ts';
import { withoutOneOf } from '../../../../src/emulator/auto/measure.ts';

const loose: Budgets = { leakAtMost: 1, sizeAtMost: 1 };
const candidate = (
  ratio: string,
  [sizeShare, exactParameterShare]: readonly [number, number],
  figures?: readonly [bits: number, agreement: number],
): Candidate => ({
  way: { strategy: 'none', compression: { type: 'lowRank', ratio }, transferLayers: { count: 0 } },
  ...{ sizeShare, exactParameterShare },
  figures: figures && {
    ...{ bitsKept: { value: figures[0] }, agreement: figures[1] },
    ...{ agreementAtStart: 0, agreementTrained: 0 },
  },
});
const ratioOf = ({ way }: Candidate) => way.compression?.ratio;
const few = [
  candidate('0.2', [0.4, 0.2], [-0.5, 0.1]),
  candidate('0.35', [0.5, 0.2], [0.2, 0.4]),
  candidate('0.5', [0.6, 0.2], [0.4, 0.6]),
  candidate('0.7', [0.8, 0.5], [0.7, 0.9]),
];

test.each([
  [loose, '0.7'],
  [{ ...loose, leakAtMost: 0.4 }, '0.5'],
  [{ ...loose, leakAtMost: 0.3999 }, '0.35'],
  [{ ...loose, sizeAtMost: 0.55 }, '0.35'],
  [{ ...loose, exactAtMost: 0.2 }, '0.5'],
  [{ leakAtMost: 0, sizeAtMost: 0.4 }, '0.2'],
])('within %j the greatest agreement is chosen', (budgets, ratio) => {
  expect(ratioOf(choose(few, budgets))).toBe(ratio);
});

test('of equal agreements the one that gives least away is chosen, and of equals the first', () => {
  const leaky = candidate('0.7', [0.5, 0.2], [0.3, 0.5]);
  const large = candidate('0.5', [0.6, 0.2], [0.2, 0.5]);
  const small = candidate('0.35', [0.5, 0.2], [0.2, 0.5]);
  const later = candidate('0.2', [0.5, 0.2], [0.2, 0.5]);
  expect(ratioOf(choose([leaky, large, small, later], loose))).toBe('0.35');
});

test('a verdict names the first budget that is not kept', () => {
  const budgets = { leakAtMost: 0.3, sizeAtMost: 0.6, exactAtMost: 0.4 };
  const verdicts = [
    candidate('1', [0.7, 0.5]),
    candidate('1', [0.6, 0.5]),
    candidate('1', [0.6, 0.4], [0.31, 1]),
    candidate('1', [0.6, 0.4], [0.3, 1]),
  ].map((one) => verdictOf(one, budgets));
  expect(verdicts).toEqual(['overSize', 'overExact', 'overLeak', 'fits']);
});

test('a leak within the budget by less than two standard errors is doubted', () => {
  const doubt = (value: number, stderr?: number) => doubtOf({ value, stderr }, { leakAtMost: 0.3 }, 6);
  expect(doubt(0.25, 0.12)).toBe(
    'spec.auto.leakAtMost: what was chosen keeps 0.25 ± 0.12 of the bits on 6 rows, so it may keep more than 0.3; a larger probe tells it better',
  );
  expect(doubt(0.1, 0.06)).toBeUndefined();
  // Of six rows 2.65 errors of a bootstrap that is too small by a tenth are as much as two.
  expect(doubt(0.1, 0.09)).toContain('0.10 ± 0.09 of the bits on 6 rows, so it may');
  expect(doubtOf({ value: 0.1, stderr: 0.09 }, { leakAtMost: 0.3 }, 40)).toBeUndefined();
  expect(doubt(-1e6)).toBeUndefined();
  expect(doubt(0.1)).toBe(
    'spec.auto.leakAtMost: what was chosen keeps 0.10 of the bits on 6 rows, which tell no error of it, so it may keep more than 0.3; a larger probe tells it better',
  );
  expect(doubtOf({ value: 0.98, stderr: 0.1 }, { leakAtMost: 1 }, 6)).toBeUndefined();
});

test('so is one that a single row tells against all others', () => {
  // Negative log-likelihoods by full model, emulator and unigram model: the emulator is nearly the model, but for one row.
  const rows = [...Array(5).fill([10, 12, 30]), [10, 900, 30]] as number[][];
  const share = ([full, own, nothing]: readonly number[]) => (nothing! - own!) / (nothing! - full!);
  const sums = [0, 1, 2].map((column) => rows.reduce((sum, row) => sum + row[column]!, 0));
  const [value, withoutOne] = [share(sums), withoutOneOf(rows, share)!];
  expect(value).toBeLessThan(-6);
  expect(withoutOne).toBeCloseTo(0.9);
  expect(doubtOf({ value, stderr: 2, withoutOne }, { leakAtMost: 0.3 }, 6)).toBe(
    'spec.auto.leakAtMost: what was chosen keeps -6.50 ± 2.00 of the bits on 6 rows, and 0.90 without one of them, so it may keep more than 0.3; a larger probe tells it better',
  );
  expect(withoutOneOf([[10, 12, 30]], share)).toBeUndefined();
});

test('a choice by agreements of which not even the greatest is above zero is doubted', () => {
  const doubt = (agreement: number) =>
    doubtOfAgreement({ bitsKept: { value: 0.5 }, agreement, agreementAtStart: 0.28, agreementTrained: 0.1 });
  expect(doubt(-0.004)).toMatch(
    /cosine -0\.00; before the steps 0\.28\), so which of them teaches most is not told/,
  );
  expect(doubt(0)).toBeDefined();
  expect(doubt(0.01)).toBeUndefined();
});

test('where nothing fits, the nearest is told with what it has, which then fits', () => {
  const budgets = { leakAtMost: 0.1, sizeAtMost: 0.45 };
  const measured = [candidate('0.35', [0.5, 0.2]), candidate('0.2', [0.4, 0.2], [0.25123, 0.1])];
  expect(() => choose(measured, budgets)).toThrow(
    'spec.auto: no candidate has at most 0.1 of the bits (leakAtMost), 0.45 of the size (sizeAtMost); the nearest, all layers, lowRank 0.2, LoRA beside every map, has 0.2513 of the bits, 0.4000 of the size, 0.2000 of the parameters exactly; allow as much',
  );
  expect(ratioOf(choose(measured, { ...budgets, leakAtMost: 0.2513 }))).toBe('0.2');
  expect(() => choose([candidate('0.35', [0.5, 0.2])], budgets)).toThrow('has bits that were not measured');
  expect(() => choose([], budgets)).toThrow('the model has too few layers');
});

test('a larger budget never gives less agreement', () => {
  const random = new Random(7);
  const draw = () => random.next() / 2 ** 32;
  for (let round = 0; round < 300; round++) {
    const all = Array.from({ length: 12 }, () =>
      candidate('1', [draw(), draw()], [2 * draw() - 1, 2 * draw() - 1]),
    );
    const budgets = { leakAtMost: draw(), sizeAtMost: draw(), exactAtMost: draw() };
    if (all.every((one) => verdictOf(one, budgets) !== 'fits')) continue;
    const { figures } = choose(all, budgets);
    for (const field of ['leakAtMost', 'sizeAtMost', 'exactAtMost'] as const) {
      const larger = { ...budgets, [field]: budgets[field] + (1 - budgets[field]) * draw() };
      expect(choose(all, larger).figures.agreement).toBeGreaterThanOrEqual(figures.agreement);
    }
  }
});

/** The choice where what would be sealed of each ratio keeps so many bits, and which ratios were made for it. */
const sealing = async (budgets: Budgets, bits: Readonly<Record<string, number>>, known = few) => {
  const made: string[] = [];
  const { chosen, candidates } = await chooseSealed(known, budgets, async (candidate) => {
    const ratio = ratioOf(candidate)!;
    made.push(ratio);
    return { value: bits[ratio]!, stderr: 0.07 };
  });
  return { chosen, candidates, made };
};

test('who keeps too much as it would be sealed gives way to the next, and is told as over the budget', async () => {
  const budgets = { ...loose, leakAtMost: 0.5 };
  const { chosen, candidates, made } = await sealing(budgets, { '0.5': 0.51, '0.35': 0.5 });
  expect([ratioOf(chosen), chosen.sealed, made]).toEqual([
    '0.35',
    { value: 0.5, stderr: 0.07 },
    ['0.5', '0.35'],
  ]);
  expect(candidates.map((candidate) => [verdictOf(candidate, budgets), candidate.sealed?.value])).toEqual([
    ['fits', undefined],
    ['fits', 0.5],
    ['overLeak', 0.51],
    ['overLeak', undefined],
  ]);
});

test('what is known to keep too much is not made again, and a refining that lowers the bits allows no more', async () => {
  const known = few.map((candidate) =>
    ratioOf(candidate) === '0.5' ? { ...candidate, sealed: { value: 0.9 } } : candidate,
  );
  const { chosen, made } = await sealing({ ...loose, leakAtMost: 0.6 }, { '0.35': 0.1, '0.7': -1 }, known);
  expect([ratioOf(chosen), made]).toEqual(['0.35', ['0.35']]);
});

test('where nothing fits as it would be sealed, the least that was made is told with its error, and then fits', async () => {
  const bits = { '0.5': 0.9, '0.35': 0.41237, '0.2': 0.6 };
  await expect(sealing({ ...loose, leakAtMost: 0.4 }, bits)).rejects.toThrow(
    /^spec\.auto\.leakAtMost: no candidate keeps at most 0\.4 of the bits as it would be sealed, .* after spec\.refine, .* of 3 that did before, the nearest, all layers, lowRank 0\.35, LoRA beside every map, keeps 0\.4124 ± 0\.0700, and nothing was sealed; give spec\.refine fewer steps/,
  );
  const allowed = await sealing({ ...loose, leakAtMost: 0.4124 }, bits);
  expect(ratioOf(allowed.chosen)).toBe('0.35');
});
