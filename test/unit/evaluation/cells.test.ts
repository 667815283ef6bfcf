import { expect, test } from 'vitest';
import { pairBranches } from '../../../src/data/index.ts';
import { cellOf, type RowScores, rowScores } from '../../../src/evaluation/cells.ts';
import { pairReference } from '../../../src/evaluation/index.ts';
import { scoresOf } from '../../support/unit/evaluation/scores.ts';

const valuesOf = ({ values }: RowScores) => [...values];

const likelihood = (row: number, logLikelihood: number[], greedy?: boolean[]) => ({
  row,
  logLikelihood: [0, ...logLikelihood],
  tokens: [0, ...logLikelihood.map(() => 1)],
  ...(greedy ? { greedy: [false, ...greedy] } : {}),
});
const example = (row: number, answer: number, bytes: number[], branches = bytes.map((_, i) => [2 + i])) => ({
  row,
  trunk: [1],
  branches,
  answer,
  bytes,
});

test('acc takes the likeliest choice, acc_norm the likeliest by byte, ties the first', () => {
  const likelihoods = [likelihood(0, [-4, -6]), likelihood(1, [-2, -2])];
  const examples = [example(0, 1, [2, 6]), example(1, 1, [3, 3])];
  const values = (metric: 'acc' | 'acc_norm') => valuesOf(rowScores(likelihoods, examples, metric));
  expect(values('acc')).toEqual([0, 0]);
  expect(values('acc_norm')).toEqual([1, 0]);
});

test('choices of the same tokens are as likely as the first of them, however they were rounded', () => {
  const branches = [[7], [2, 3], [2, 3]];
  // the other choice, then the right one twice: each copy a bit likelier than the other in one row
  const likelihoods = [
    ...[likelihood(0, [-4, -2, -1.9999998]), likelihood(1, [-4, -1.9999998, -2])],
    ...[likelihood(2, [-4, -2, -1.9999998]), likelihood(3, [-4, -1.9999998, -2])],
  ];
  const examples = [1, 1, 2, 2].map((answer, row) => example(row, answer, [3, 4, 4], branches));
  for (const metric of ['acc', 'acc_norm'] as const)
    expect(valuesOf(rowScores(likelihoods, examples, metric))).toEqual([1, 1, 0, 0]);
  // tokens that two texts have in common: each counts by its own bytes
  const other = example(0, 2, [3, 4, 5], branches);
  expect(valuesOf(rowScores(likelihoods.slice(0, 1), [other], 'acc_norm'))).toEqual([1]);
  const greedy = [likelihood(0, [-4, -2, -2], [false, false, true])];
  expect(valuesOf(rowScores(greedy, [example(0, 1, [3, 4, 4], branches)], 'exact_match'))).toEqual([0]);
});

test('exact_match asks for any accepted answer that greedy decoding gives, not for the likeliest', () => {
  const likelihoods = [
    likelihood(0, [-1, -9], [false, true]),
    likelihood(1, [-1, -9], [false, false]),
    likelihood(2, [-1], [true]),
  ];
  const examples = [example(0, 0, [1, 1]), example(1, 0, [1, 1]), example(2, 0, [1])];
  const rows = rowScores(likelihoods, examples, 'exact_match');
  expect(valuesOf(rows)).toEqual([1, 0, 1]);
  const { value, stderr } = cellOf(rows, 'exact_match');
  expect(value).toBeCloseTo(2 / 3);
  expect(stderr).toBeCloseTo(Math.sqrt(((2 / 3) * (1 / 3)) / 2));
});

test('pair_acc asks whether a pair stands better than in the reference; as there it counts half', () => {
  // rejected, then chosen
  const likelihoods = [likelihood(0, [-4, -9]), likelihood(1, [-4, -1]), likelihood(2, [-4, -9])];
  const examples = [0, 1, 2].map((row) => example(row, 1, [1, 1]));
  const reference = pairReference(examples, [
    [0, { rejected: -3, chosen: -9 }],
    [1, { rejected: -5, chosen: -1 }],
    [2, { rejected: -4, chosen: -9 }],
  ]);
  const rows = rowScores(likelihoods, examples, 'pair_acc', reference);
  expect(valuesOf(rows)).toEqual([1, 0, 0.5]);
  const { value, stderr } = cellOf(rows, 'pair_acc');
  expect(value).toBe(0.5);
  // the standard deviation of 1, 0 and 0.5 is 0.5
  expect(stderr).toBeCloseTo(0.5 / Math.sqrt(3));
  expect(cellOf(scoresOf([0.5, 0.5, 0.5]), 'pair_acc')).toEqual({ value: 0.5, stderr: 0 });
});

test('of ones and zeros the error of pair_acc is that of acc', () => {
  const rows = scoresOf([1, 0, 1, 1, 0]);
  expect(cellOf(rows, 'pair_acc').stderr).toBeCloseTo(cellOf(rows, 'acc').stderr, 12);
});

test('a model that gives both answers the same has no pair right', () => {
  const pairs = [0, 1].map((row) => likelihood(row, [-4, -4]));
  const examples = [0, 1].map((row) => example(row, pairBranches.chosen - 1, [2, 2]));
  for (const metric of ['acc', 'acc_norm'] as const)
    expect(valuesOf(rowScores(pairs, examples, metric))).toEqual([0, 0]);
});
