import fc from 'fast-check';
import { expect, test } from 'vitest';
import { trainedLayers, trainsAt } from '../../../src/emulator/plan/plan.ts';
import { shareLayers } from '../../../src/emulator/plan/share.ts';
import { transferLayers } from '../../../src/emulator/plan/transfer.ts';
import { clusterLayers, keepMiddles } from '../../../src/emulator/strategies/crash.ts';
import { makePlan, type PlanOptions } from '../../../src/emulator/strategies/make-plan.ts';
import { keepUniform } from '../../../src/emulator/strategies/uniform.ts';

/** CRaSh's clustering (arXiv 2310.15477) to the letter: one cluster a layer, then merge the most similar neighbours until `count` are left. */
function mergeClusters(adjacent: number[], count: number): number[][] {
  const clusters = Array.from({ length: adjacent.length + 1 }, (_, layer) => [layer]);
  while (clusters.length > count) {
    let best = 0;
    for (let i = 1; i < clusters.length - 1; i++)
      if (adjacent[clusters[i]!.at(-1)!]! > adjacent[clusters[best]!.at(-1)!]!) best = i;
    clusters.splice(best, 2, [...clusters[best]!, ...clusters[best + 1]!]);
  }
  return clusters;
}

// few distinct values, so that ties are common
const adjacentAndCount = fc
  .array(
    fc.integer({ min: 0, max: 5 }).map((value) => value / 5),
    { maxLength: 40 },
  )
  .chain((adjacent) => fc.tuple(fc.constant(adjacent), fc.integer({ min: 1, max: adjacent.length + 1 })));

test('boundaries at the lowest adjacent values equal merging step by step, ties included', () => {
  fc.assert(
    fc.property(adjacentAndCount, ([adjacent, count]) => {
      expect(clusterLayers(adjacent, count)).toEqual(mergeClusters(adjacent, count));
    }),
  );
});

test('ties merge at the lowest index first', () => {
  expect(clusterLayers([0.5, 0.5, 0.5], 3)).toEqual([[0, 1], [2], [3]]);
  expect(clusterLayers([0.5, 0.5, 0.5], 2)).toEqual([[0, 1, 2], [3]]);
});

test('crash keeps the layer at index floor(length / 2) of each cluster', () => {
  expect(keepMiddles([[0], [1, 2], [3, 4, 5], [6, 7, 8, 9]])).toEqual([0, 2, 4, 8]);
});

test('uniform keeps both ends and even steps', () => {
  expect(keepUniform(24, 8)).toEqual([0, 3, 7, 10, 13, 16, 20, 23]);
  expect(keepUniform(5, 5)).toEqual([0, 1, 2, 3, 4]);
  expect(keepUniform(5, 1)).toEqual([2]);
});

const published: [model: string, kept: number[], transfer: number[]][] = [
  ['OPT-1.3B, ARC-E', [0, 1, 2, 3, 5, 9, 12, 15, 18, 20, 22, 23], [0, 5, 18, 23]],
  ['OPT-1.3B, HellaSwag', [0, 1, 2, 3, 5, 8, 10, 11, 12, 17, 22, 23], [0, 5, 12, 23]],
  [
    'OPT-6.7B, OpenBookQA',
    [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15, 17, 20, 22, 23, 24, 27, 30, 31],
    [0, 8, 17, 31],
  ],
  [
    'OPT-6.7B, ARC-E',
    [0, 1, 2, 3, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 19, 22, 24, 25, 28, 30, 31],
    [0, 9, 16, 31],
  ],
];

test.each(published)('the published transfer layers of %s', (_, kept, transfer) => {
  expect(transferLayers(kept, { count: 4 })).toEqual(transfer);
});

test('transfer layers: one is the first, listed ones are sorted, wrong ones are named', () => {
  expect(transferLayers([2, 5, 9], { count: 1 })).toEqual([2]);
  expect(transferLayers([2, 5, 9], { layers: [9, 2] })).toEqual([2, 9]);
  expect(() => transferLayers([2, 5, 9], { count: 4 })).toThrow(/transferLayers.count is 4, but 3 layers/);
  expect(() => transferLayers([2, 5, 9], { layers: [2, 3, 7] })).toThrow(
    /transferLayers.layers: 3, 7 not among the kept layers \(2, 5, 9\)/,
  );
});

test('transfer layers: none, or at the ends or the top of what is kept', () => {
  const kept = [0, 2, 5, 9, 11];
  const at = (placement: 'ends' | 'top', count: number) => transferLayers(kept, { count, placement });
  expect(transferLayers(kept, { count: 0 })).toEqual([]);
  expect([1, 2, 3, 4, 5].map((count) => at('ends', count))).toEqual([
    [0],
    [0, 11],
    [0, 2, 11],
    [0, 2, 9, 11],
    kept,
  ]);
  expect([1, 2, 5].map((count) => at('top', count))).toEqual([[11], [9, 11], kept]);
  expect(transferLayers(kept, { count: 3, placement: 'spread' })).toEqual(transferLayers(kept, { count: 3 }));
  for (const placement of ['ends', 'top'] as const)
    expect(() => transferLayers(kept, { count: 6, placement })).toThrow('use 0 to 5');
});

test('sharing: nearest with ties to the right and no wrapping, by cluster, none', () => {
  const clusters = [[0], [1, 2, 3, 4], [5, 6]];
  const kept = keepMiddles(clusters);
  expect(kept).toEqual([0, 3, 6]);
  expect(shareLayers(clusters, kept, 'nearest')).toEqual([0, 0, 3, 3, 3, 6, 6]);
  expect(shareLayers(clusters, kept, 'cluster')).toEqual([0, 3, 3, 3, 3, 6, 6]);
  expect(shareLayers(clusters, kept, 'none')).toEqual([0, 3, 6]);
  expect(shareLayers([[0, 1, 2, 3]], [2], 'nearest')).toEqual([2, 2, 2, 2]);
  expect(shareLayers([[0], [1], [2]], [0, 2], 'nearest')).toEqual([0, 2, 2]);
});

const options: PlanOptions = {
  strategy: 'crash',
  layers: 3,
  sharing: 'nearest',
  transferLayers: { count: 2 },
};

test('a plan holds every layer once, a kept layer a cluster, and only kept sources, for every strategy and sharing', () => {
  const choices = fc.record({
    strategy: fc.constantFrom<PlanOptions['strategy']>('crash', 'uniform'),
    sharing: fc.constantFrom<PlanOptions['sharing']>('nearest', 'cluster', 'none'),
  });
  fc.assert(
    fc.property(adjacentAndCount, choices, ([adjacent, layers], choice) => {
      const plan = makePlan(
        { adjacent },
        { ...options, ...choice, layers, transferLayers: { count: layers } },
      );
      expect(plan.clusters.flat()).toEqual(Array.from({ length: adjacent.length + 1 }, (_, i) => i));
      expect(plan.kept).toHaveLength(layers);
      plan.clusters.forEach((cluster, i) => {
        expect(cluster).toContain(plan.kept[i]);
      });
      expect(new Set(plan.source)).toEqual(new Set(plan.kept));
      for (const layer of plan.kept) if (choice.sharing !== 'none') expect(plan.source[layer]).toBe(layer);
    }),
  );
});

test('a transfer layer trains at one position only; its repeats are frozen', () => {
  const plan = makePlan({ adjacent: [0.9, 0.1, 0.9, 0.9, 0.2, 0.9] }, options);
  expect(plan.source).toEqual([1, 1, 3, 3, 3, 6, 6]);
  expect(plan.transferLayers).toEqual([1, 6]);
  expect(plan.source.map((_, position) => trainsAt(plan, position))).toEqual([
    false,
    true,
    false,
    false,
    false,
    false,
    true,
  ]);
  const shallow = makePlan({ adjacent: [0.9, 0.1, 0.9, 0.9, 0.2, 0.9] }, { ...options, sharing: 'none' });
  expect(shallow.source.map((_, position) => trainsAt(shallow, position))).toEqual([true, false, true]);
});

test('without transfer layers every kept layer trains, at its own position only', () => {
  const none = { ...options, transferLayers: { count: 0 } };
  const plan = makePlan({ adjacent: [0.9, 0.1, 0.9, 0.9, 0.2, 0.9] }, none);
  expect(plan.source).toEqual([1, 1, 3, 3, 3, 6, 6]);
  expect(trainedLayers(plan)).toEqual([1, 3, 6]);
  const trains = plan.source.flatMap((_, position) => (trainsAt(plan, position) ? [position] : []));
  expect(trains).toEqual([1, 3, 6]);
});

test('more layers than the model has are refused by name', () => {
  expect(() => makePlan({ adjacent: [0.1] }, options)).toThrow(
    /spec.layers is 3, but the model has 2 layers/,
  );
});

test('angular keeps the layers of the highest influence, of equal ones the lowest; each takes its neighbours', () => {
  const found = { adjacent: new Array<number>(5).fill(1), influence: [0.5, 0.1, 0.3, 0.1, 0.3, 0.2] };
  const plan = makePlan(found, { ...options, strategy: 'angular', layers: 2, transferLayers: { count: 1 } });
  expect(plan.kept).toEqual([0, 2]);
  expect(plan.clusters).toEqual([[0], [1, 2, 3, 4, 5]]);
  const more = makePlan(found, { ...options, strategy: 'angular', layers: 4 });
  expect(more.kept).toEqual([0, 2, 4, 5]);
});

test('sleb keeps what was not left out first, and at least two layers', () => {
  const found = { adjacent: new Array<number>(4).fill(1), removed: [2, 1, 3] };
  const plan = (layers: number) =>
    makePlan(found, { ...options, strategy: 'sleb', layers, transferLayers: { count: 1 } });
  expect(plan(3).kept).toEqual([0, 3, 4]);
  expect(plan(3).clusters).toEqual([[0, 1], [2, 3], [4]]);
  expect(plan(2).kept).toEqual([0, 4]);
  expect(plan(5).kept).toEqual([0, 1, 2, 3, 4]);
  expect(() => plan(1)).toThrow('spec.layers is 1, and sleb keeps the first and the last layer; use 2 to 5');
  expect(() => plan(6)).toThrow('the model has 5 layers');
});

test('none removes no layer, whose number is asked for by every other strategy', () => {
  const { layers: _, ...without } = options;
  const adjacent = [0.5, 0.5];
  expect(makePlan({ adjacent }, { ...without, strategy: 'none' }).clusters).toEqual([[0], [1], [2]]);
  expect(() => makePlan({ adjacent }, without)).toThrow('spec.layers: is missing');
});
