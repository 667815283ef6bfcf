import { expect, test } from 'vitest';
import { SummedLikelihoods } from '../../../src/evaluation/likelihoods.ts';

const target = (row: number, branch: number, token = 0) => ({ from: 0, token, row, branch });

test('targets are summed by row and branch in ascending order, whatever the batches; a row without any is left out', () => {
  const batches = [
    { targets: [target(4, 2), target(1, 0), target(4, 2)] },
    { targets: [target(4, 1), target(1, 0)] },
  ];
  const summed = new SummedLikelihoods(batches, { greedy: true });
  let at = 0;
  for (const { targets } of batches) for (const each of targets) summed.add(each, -(2 ** at++), at !== 3);
  expect(summed).toHaveLength(2);
  expect([...summed]).toEqual([
    { row: 1, logLikelihood: [-18], tokens: [2], greedy: [true] },
    { row: 4, logLikelihood: [0, -8, -5], tokens: [0, 1, 2], greedy: [false, true, false] },
  ]);
});

test('the first row with a sum that is not a number is told', () => {
  const batches = [{ targets: [target(7, 1), target(3, 2), target(2, 0)] }];
  const summed = new SummedLikelihoods(batches, { greedy: false });
  expect(summed.rowWithout()).toBeUndefined();
  for (const row of [7, 3]) summed.add(target(row, 1), Number.NaN, false);
  expect(summed.rowWithout()).toBe(3);
});
