/** What is kept of each row while cells are measured lies outside of the heap: it is not counted with the tokens. */
import { expect, test } from 'vitest';
import { onItsOwn } from '../../support/processes/heap.ts';

test.each([
  ['perplexity', Math.E, 1],
  ['acc', 0, 1],
  ['acc_norm', 0, 1],
  ['pair_acc', 0.5, 1],
] as const)('%s of four cells', async (metric, value, loss) => {
  const module = new URL('../../support/unit/evaluation/held-heap.ts', import.meta.url);
  const { bytes, ...found } = await onItsOwn<{ bytes: number }>(module, metric);
  expect(found).toEqual({ cells: Array(4).fill([value, loss]), held: 8 });
  expect(bytes).toBeLessThan(24);
});
