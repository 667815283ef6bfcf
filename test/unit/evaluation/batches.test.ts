import { expect, test } from 'vitest';
import { packForModel } from '../../../src/evaluation/index.ts';
import type { Architecture } from '../../../src/model/index.ts';

const examples = Array.from({ length: 64 }, (_, row) => ({
  row,
  trunk: new Array<number>(128).fill(1),
  branches: [],
  bytes: [],
}));

/** A model whose layers have so many parameters. */
const modelOf = (...parameters: number[]) =>
  ({
    depth: parameters.length,
    block: (layer: number) => ({ up: { name: 'up', shape: [parameters[layer]!, 1] } }),
  }) as unknown as Architecture;

const sequences = (...parameters: number[]) => packForModel(examples, modelOf(...parameters))[0]!.size;

test('a call of a block takes as many tokens as its largest layer leaves it, 2048 at most', () => {
  expect(sequences(1e6, 1e6)).toBe(16);
  expect(sequences(1e8, 1e8)).toBe(2);
  expect(sequences(1e6, 1e8, 1e6)).toBe(2);
  expect(sequences(1e12)).toBe(1);
});
