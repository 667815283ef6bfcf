import { expect, test } from 'vitest';
import type { WeightSource } from '../../../src/model/index.ts';
import { trainedBlocks } from '../../../src/training/index.ts';

/** Three positions, of which the outer ones run the same block. */
const source = {
  depth: 3,
  slots: (position: number) => {
    const name = position === 1 ? 'b' : 'a';
    return { up: { name: `${name}.up`, shape: [2, 3] }, slopes: { name: `${name}.slopes`, shape: [2] } };
  },
  block: (position: number) => ({
    up: new Float32Array(6).fill(position === 1 ? 5 : 4),
    slopes: Float32Array.of(1, 2),
  }),
} as unknown as WeightSource;

const examples = [{ row: 0, trunk: [1, 2, 3], branches: [], bytes: [] }];
/** Two blocks of 8 numbers, each with a gradient and two moments. */
const own = 2 * 8 * 4 * 4;
const widths = { heads: 1, groups: 1, inner: 2 };
/** The outputs of three maps to 2, and what two numbers a head and pair of 256 tokens take in three blocks. */
const states = 4 * (3 * 2 + 2 * 256 * 3) * 256;

test('positions that run the same block train it together, all of it but what is no weight', () => {
  const marks = { slopes: Float32Array.of(1, 2) };
  const { parts, plan, bytes } = trainedBlocks(source, { marks, hidden: 1, widths }, [0, 1, 2], {
    ...{ examples, batchSize: 4, memory: own + states, field: 'spec.refine' },
  });
  expect(parts.get(0)).toBe(parts.get(2));
  expect(parts.get(1)!.tensors.map(({ name }) => name)).toEqual(['b.up']);
  expect(parts.get(1)!.training.slots).toEqual(['up']);
  expect([...parts.get(1)!.weights['up']!]).toEqual([5, 5, 5, 5, 5, 5]);
  expect([...parts.get(0)!.weights['slopes']!]).toEqual([1, 2]);
  expect(plan).toEqual({ shape: { capacity: 256, batch: 1 }, recompute: false });
  expect(bytes).toBe(own + states);
});

test('a training that does not fit is refused with the field, and what it takes', () => {
  const options = { examples, batchSize: 4, memory: own + states - 1, field: 'spec.refine' };
  expect(() => trainedBlocks(source, { hidden: 1, widths }, [0, 1], options)).toThrow(
    `spec.refine: training 16 parameters takes 256 bytes (weights, gradients and AdamW's moments) and ${states} for the backward pass, and ${own + states - 1} may be used for them; raise spec.engine.memory`,
  );
});
