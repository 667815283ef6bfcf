import { expect, test } from 'vitest';
import { wordsOfWay } from '../../../../src/api/index.ts';
import { candidateWays } from '../../../../src/emulator/auto/candidates.ts';
import { lookCost, rowsFor } from '../../../../src/emulator/auto/cost.ts';

const words = (options: Parameters<typeof candidateWays>[0]) => candidateWays(options).map(wordsOfWay);

test('of a model of 30 layers, each way is there once', () => {
  const ways = words({ depth: 30, compressedOnly: false });
  expect(ways).toEqual([
    ...['0.2', '0.35', '0.5', '0.7'].map((ratio) => `all layers, lowRank ${ratio}, LoRA beside every map`),
    ...['0.2', '0.35', '0.5'].map((ratio) => `all layers, lowRank ${ratio}, 4 transfer layers`),
    ...[24, 18].flatMap((layers) =>
      ['crash', 'uniform', 'angular'].map(
        (strategy) => `${layers} layers by ${strategy}, exact, 4 transfer layers`,
      ),
    ),
    '24 layers by crash, lowRank 0.5, LoRA beside every map',
    '24 layers by uniform, lowRank 0.5, LoRA beside every map',
  ]);
});

test('where the spec says what trains, every way trains that and none stands twice', () => {
  const given = { count: 2, placement: 'top' as const };
  const ways = candidateWays({ depth: 30, compressedOnly: false, transferLayers: given });
  expect(ways.every(({ transferLayers }) => transferLayers === given)).toBe(true);
  expect(new Set(ways.map(wordsOfWay)).size).toBe(ways.length);
  expect(ways).toHaveLength(12);
});

test('what is refined is compressed', () => {
  const ways = candidateWays({ depth: 30, compressedOnly: true });
  expect(ways).toHaveLength(9);
  expect(ways.every(({ compression }) => compression !== undefined)).toBe(true);
});

test.each([
  [1, 4 + 3],
  [2, 4 + 3],
  [3, 4 + 3 + 3 + 0],
])('a model of %i layers has ways that fit it', (depth, least) => {
  const ways = candidateWays({ depth, compressedOnly: false });
  expect(ways.length).toBeGreaterThanOrEqual(least);
  for (const { layers = depth, transferLayers } of ways) {
    expect(layers).toBeLessThanOrEqual(depth);
    expect(transferLayers.count).toBeLessThanOrEqual(layers);
  }
});

test('a look costs a pass forward, one backward above the lowest that trains, and the head both ways', () => {
  const block = { a: { name: 'a', shape: [3, 5] }, norm: { name: 'n', shape: [5] } };
  const size = { blocks: [block, block], lowest: 1, head: 100, recompute: false };
  expect(lookCost(size, { tokens: 10, targets: 4 })).toBe(10 * (30 + 15) + 2 * 4 * 100);
  expect(lookCost({ ...size, recompute: true }, { tokens: 10, targets: 4 })).toBe(10 * (30 + 30) + 800);
});

test('as many rows are looked at as one and a half passes allow', () => {
  const perRow = 30 / 512;
  expect(rowsFor(512, perRow)).toBe(25);
  expect(25 * perRow).toBeLessThanOrEqual(1.5);
  expect(rowsFor(4096, 1 / 4096)).toBe(64);
  expect(rowsFor(8, 4)).toBe(4);
  expect(rowsFor(2, 1000)).toBe(1);
});
