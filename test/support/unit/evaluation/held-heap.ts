/** Of four cells of many rows: what is held of each row to the end of a stage, in bytes of the heap. */
import { type Example, pack, pairBranches } from '../../../../src/data/index.ts';
import {
  comparedWith,
  likelihoodsOf,
  type MetricName,
  measurementOf,
  type TaskData,
} from '../../../../src/evaluation/index.ts';
import type { Decoder } from '../../../../src/model/index.ts';
import { given, heapUsed, measured } from '../../processes/heap.ts';

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

async function measure(metric: MetricName): Promise<void> {
  const examples = Array.from({ length: rows }, (_, row) => (metric === 'perplexity' ? text : choices)(row));
  const batches = pack(examples, { capacity: 128, batch: 16 });
  const options = { memory: 1 << 26, stage: 'test', emit: () => {} };
  let task: TaskData = { name: 'rows', metric, examples, batches };
  const held: unknown[] = [];
  const cells: unknown[] = [];
  const before = await heapUsed();
  for (let cell = 0; cell < 4; cell++) {
    const likelihoods = await likelihoodsOf(decoder, task, options);
    if (cell === 0) task = comparedWith(task, likelihoods);
    const found = measurementOf(likelihoods, task);
    held.push(likelihoods, found);
    cells.push([found.cell.value, found.loss]);
  }
  const bytes = ((await heapUsed()) - before) / rows;
  measured({ bytes, cells, held: held.length });
}

await measure(given as MetricName);
