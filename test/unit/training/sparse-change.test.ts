import { expect, test } from 'vitest';
import { SparseChange } from '../../../src/training/sparse-change.ts';

const tensor = (values: number[], isWeight: boolean) => {
  const zeros = () => new Float32Array(values.length);
  const own = Float32Array.from(values);
  return {
    ...{ name: 'w', shape: [values.length], values: own, first: zeros(), second: zeros() },
    ...{ best: own, isWeight },
  };
};

test('a weight is drawn to where it started, and no further', () => {
  const weight = tensor([1, -2, 0.5, 3], true);
  const sparse = new SparseChange(0.5, [weight]);
  weight.values.set([1.25, -2.5, 0.5625, 2.9375]);
  sparse.draw(weight, 0.25);
  expect([...weight.values]).toEqual([1.125, -2.375, 0.5, 3]);
  expect(sparse.unchangedShare([weight])).toBe(0.5);
});

test('a factor is drawn to zero', () => {
  const factor = tensor([1, -0.0625, 0.125, -0.5], false);
  const sparse = new SparseChange(0.5, [factor]);
  sparse.draw(factor, 0.25);
  expect([...factor.values]).toEqual([0.875, 0, 0, -0.375]);
  expect(sparse.unchangedShare([factor])).toBe(0.5);
});

test('it is the proximal step of l1: the least of (x - y)^2 / 2 + distance |x - start|', () => {
  const weight = tensor([0.3], true);
  const sparse = new SparseChange(2, [weight]);
  for (const y of [-1, 0.2, 0.3, 0.35, 0.9]) {
    weight.values[0] = y;
    sparse.draw(weight, 0.1);
    const cost = (x: number) => (x - y) ** 2 / 2 + 0.2 * Math.abs(x - Math.fround(0.3));
    const grid = Array.from({ length: 4001 }, (_, i) => -2 + i / 1000);
    const least = grid.reduce((best, x) => (cost(x) < cost(best) ? x : best), grid[0]!);
    expect(Math.abs(weight.values[0]! - least)).toBeLessThan(2e-3);
  }
});

test('at a learning rate of zero nothing moves', () => {
  const factor = tensor([1, -1e-30], false);
  new SparseChange(0.5, [factor]).draw(factor, 0);
  expect([...factor.values]).toEqual([1, Math.fround(-1e-30)]);
});
