import { expect, test } from 'vitest';
import { cellOf, rowScores } from '../../../src/evaluation/cells.ts';

const likelihood = (row: number, logLikelihood: number[], greedy?: boolean[]) => ({
  row,
  logLikelihood: [0, ...logLikelihood],
  tokens: [0, ...logLikelihood.map(() => 1)],
  ...(greedy ? { greedy: [false, ...greedy] } : {}),
});
const example = (row: number, answer: number, bytes: number[]) => ({
  row,
  trunk: [1],
  branches: bytes.map(() => [2]),
  answer,
  bytes,
});

test('acc takes the likeliest choice, acc_norm the likeliest by byte, ties the first', () => {
  const likelihoods = [likelihood(0, [-4, -6]), likelihood(1, [-2, -2])];
  const examples = [example(0, 1, [2, 6]), example(1, 1, [3, 3])];
  const values = (metric: 'acc' | 'acc_norm') =>
    rowScores(likelihoods, examples, metric).map(({ value }) => value);
  expect(values('acc')).toEqual([0, 0]);
  expect(values('acc_norm')).toEqual([1, 0]);
});

test('exact_match asks for any accepted answer that greedy decoding gives, not for the likeliest', () => {
  const likelihoods = [
    likelihood(0, [-1, -9], [false, true]),
    likelihood(1, [-1, -9], [false, false]),
    likelihood(2, [-1], [true]),
  ];
  const examples = [example(0, 0, [1, 1]), example(1, 0, [1, 1]), example(2, 0, [1])];
  const rows = rowScores(likelihoods, examples, 'exact_match');
  expect(rows.map(({ value }) => value)).toEqual([1, 0, 1]);
  const { value, stderr } = cellOf(rows, 'exact_match');
  expect(value).toBeCloseTo(2 / 3);
  expect(stderr).toBeCloseTo(Math.sqrt(((2 / 3) * (1 / 3)) / 2));
});
