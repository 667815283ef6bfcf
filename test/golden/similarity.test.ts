import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { makePlan } from '../../src/emulator/index.ts';

interface Reference {
  texts: string[];
  ids: number[][];
  adjacent: Record<string, number[]>;
  matrix: number[][];
  plan: {
    layers: number;
    clusters: number[][];
    kept: number[];
    transferLayers: number[];
    source: number[];
  };
}

const reference: Reference = JSON.parse(
  readFileSync(new URL('../fixtures/smollm2/similarity.json', import.meta.url), 'utf8'),
);

test("the published recipe's plan from PyTorch's adjacent values", () => {
  const { layers, ...expected } = reference.plan;
  const options = {
    strategy: 'crash',
    layers,
    sharing: 'nearest',
    transferLayers: { count: 4 },
  } as const;
  expect(makePlan(reference.adjacent['mean']!, options)).toEqual(expected);
});
