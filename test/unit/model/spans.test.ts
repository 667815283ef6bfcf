import { expect, test } from 'vitest';
import { spansWithin } from '../../../src/model/spans.ts';

const spans = (memory: number, cuts: number[] = [], weights = [4, 4, 4, 4, 4]) =>
  spansWithin({ weights, memory, cuts: new Set(cuts) });

test('without memory each block is a span, and so is one that does not fit', () => {
  expect(spans(0)).toEqual([[0], [1], [2], [3], [4]]);
  expect(spans(8, [], [4, 4, 9, 4, 4])).toEqual([[0, 1], [2], [3, 4]]);
});

test('as many blocks as fit are one, but none across a cut', () => {
  expect(spans(12)).toEqual([
    [0, 1, 2],
    [3, 4],
  ]);
  expect(spans(100)).toEqual([[0, 1, 2, 3, 4]]);
  expect(spans(100, [-1, 1, 4])).toEqual([
    [0, 1],
    [2, 3, 4],
  ]);
  expect(spans(12, [0])).toEqual([[0], [1, 2, 3], [4]]);
});
