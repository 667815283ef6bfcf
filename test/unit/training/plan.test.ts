import { expect, test } from 'vitest';
import type { Slots } from '../../../src/model/index.ts';
import { planTraining } from '../../../src/training/plan.ts';

/** A block of one linear map of so many outputs, as it is stored or the other way round. */
const block = (to: number, transposed = false): Slots => ({
  norm: { name: 'norm', shape: [9999] },
  up: transposed ? { name: 'up', shape: [3, to], transposed: true } : { name: 'up', shape: [to, 3] },
});
const size = { longest: 100, rows: 4, heads: 1, hidden: 1, given: 2 ** 30 };
/** What the residuals of a linear map's output take for two sequences of 256 tokens. */
const bytesOf = (outputs: number) => 2 * 4 * outputs * 2 * 256;

test('blocks are run again where the residuals of all positions, each by its own width, do not fit', () => {
  const blocks = [block(1000), block(3000, true), block(200)];
  const plan = (memory: number) => planTraining(blocks, { ...size, memory });
  expect(plan(bytesOf(4200))).toEqual({ shape: { capacity: 256, batch: 2 }, recompute: false });
  expect(plan(bytesOf(4200) - 1)).toEqual({ shape: { capacity: 256, batch: 2 }, recompute: true });
});

test('of a linear map that is held as factors the narrow product is kept where they train alone', () => {
  const factors: Slots = {
    upLeft: { name: 'up.left', shape: [1000, 300] },
    upRight: { name: 'up.right', shape: [300, 3] },
  };
  const recompute = (memory: number, trained?: number[]) =>
    planTraining([factors, factors], { ...size, memory, ...(trained && { trained: new Set(trained) }) })
      .recompute;
  expect([recompute(bytesOf(2000)), recompute(bytesOf(2000) - 1)]).toEqual([false, true]);
  expect([recompute(bytesOf(2300), [1]), recompute(bytesOf(2300) - 1, [1])]).toEqual([false, true]);
  expect([recompute(bytesOf(2600), [0, 1]), recompute(bytesOf(2600) - 1, [0, 1])]).toEqual([false, true]);
});

test('so are those whose heads, of a sequence each, take more than their linear maps give', () => {
  const blocks = [block(1000), block(1000)];
  const plan = (memory: number) => planTraining(blocks, { ...size, heads: 64, memory });
  // Products and weights of 64 heads, 256 x 256 each, of two sequences and two blocks, beside what the maps give.
  const bytes = 2 * 2 * (2 * 64 * 256 ** 2 * 4) + bytesOf(2000) / 2;
  expect(plan(bytes).recompute).toBe(false);
  expect(plan(bytes - 1).recompute).toBe(true);
});

test('a model whose heads or maps make a call of far more than the memory is refused, whatever few weights they have', () => {
  const plan = (heads: number, to: number, given = 2 ** 28) =>
    planTraining([block(10), block(to)], { ...size, heads, memory: 0, given }).shape;
  // 64 heads and 28,672 channels are those of a model of 70 billion parameters.
  expect([plan(64, 28_672), plan(273, 10), plan(1, 37_449)]).toEqual(
    Array(3).fill({ capacity: 256, batch: 2 }),
  );
  expect(() => plan(274, 10)).toThrow(
    'config.json: 274 heads would take more than 2147483648 bytes for the longest row; lower maxLength or raise spec.engine.memory',
  );
  expect(() => plan(1, 37_450)).toThrow('config.json: a linear map of 37450 outputs would take more');
  expect([plan(274, 10, 2 ** 31).batch, plan(1, 37_450, 2 ** 31).batch]).toEqual([2, 2]);
  const long = { ...size, longest: 2048, heads: 32, memory: 0, given: 2 ** 32 };
  expect(planTraining([block(11_008)], long).shape).toEqual({ capacity: 2048, batch: 1 });
});

test('a layer that runs at so many positions that the states of a batch take more than twice the memory is refused', () => {
  const plan = (hidden: number, positions: number, given: number) =>
    planTraining(Array<Slots>(positions).fill(block(1)), {
      ...{ ...size, longest: 256, rows: 64, hidden, memory: 0, given },
    });
  expect(plan(4096, 128, 2 ** 28).shape).toEqual({ capacity: 256, batch: 4 });
  expect(() => plan(4096, 129, 2 ** 28)).toThrow(
    'config.json: the states of 4096 numbers at 129 positions would take more than 2147483648 bytes for a batch of rows; lower maxLength or raise spec.engine.memory',
  );
});
