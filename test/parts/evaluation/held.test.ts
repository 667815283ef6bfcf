/** What is kept of each row while cells are measured lies outside of the heap: it is not counted with the tokens. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { type Example, pack, pairBranches } from '../../../src/data/index.ts';
import { comparedWith, likelihoodsOf, measurementOf, type TaskData } from '../../../src/evaluation/index.ts';
import type { Decoder } from '../../../src/model/index.ts';

const rows = 20_000;

/** Gives every target the same probability. */
const decoder = {
  depth: 1,
  config: { hidden: 1, depth: 1, side: () => ({}) },
  spans: () => [[0]],
  embed: async () => ({}),
  forward: async () => ({}),
  head: async (_: unknown, { length }: { length: number }) => new Float32Array(length).fill(-1),
  free() {},
  forget() {},
} as unknown as Decoder;

const text = (row: number): Example => ({ row, trunk: [row % 50, 7], branches: [], bytes: [] });
const choices = (row: number): Example => ({
  ...{ row, trunk: [row % 50], bytes: [1, 1] },
  branches: [[7], [8, 9]],
  answer: pairBranches.chosen - 1,
});

test.each([
  ['perplexity', text, Math.E, 1],
  ['acc', choices, 0, 1],
  ['acc_norm', choices, 0, 1],
  ['pair_acc', choices, 0.5, 1],
] as const)('%s of four cells', async (metric, exampleOf, value, loss) => {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  const heap = async () => {
    await new Promise(setImmediate);
    gc();
    gc();
    return process.memoryUsage().heapUsed;
  };
  const examples = Array.from({ length: rows }, (_, row) => exampleOf(row));
  const batches = pack(examples, { capacity: 128, batch: 16 });
  const options = { memory: 1 << 26, stage: 'test', emit: () => {} };
  let task: TaskData = { name: 'rows', metric, examples, batches };
  const held: unknown[] = [];
  const before = await heap();
  for (let cell = 0; cell < 4; cell++) {
    const likelihoods = await likelihoodsOf(decoder, task, options);
    if (cell === 0) task = comparedWith(task, likelihoods);
    const found = measurementOf(likelihoods, task);
    held.push(likelihoods, found);
    expect([found.cell.value, found.loss]).toEqual([value, loss]);
  }
  expect(((await heap()) - before) / rows).toBeLessThan(8);
  expect(held).toHaveLength(8);
});
