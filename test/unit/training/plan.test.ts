import { expect, test } from 'vitest';
import type { Slots } from '../../../src/model/index.ts';
import { planTraining } from '../../../src/training/plan.ts';

/** A block of one linear map of so many outputs, as it is stored or the other way round. */
const block = (to: number, transposed = false): Slots => ({
  norm: { name: 'norm', shape: [9999] },
  up: transposed ? { name: 'up', shape: [3, to], transposed: true } : { name: 'up', shape: [to, 3] },
});
const size = { longest: 100, rows: 4 };
/** What the residuals of a linear map's output take for two sequences of 256 tokens. */
const bytesOf = (outputs: number) => 2 * 4 * outputs * 2 * 256;

test('blocks are run again where the residuals of all positions, each by its own width, do not fit', () => {
  const blocks = [block(10), block(30, true), block(2)];
  const plan = (memory: number) => planTraining(blocks, { ...size, memory });
  expect(plan(bytesOf(42))).toEqual({ shape: { capacity: 256, batch: 2 }, recompute: false });
  expect(plan(bytesOf(42) - 1)).toEqual({ shape: { capacity: 256, batch: 2 }, recompute: true });
});
