import { expect, it, test } from 'vitest';
import { type Architecture, checkTrainedMemory, type Slots } from '../../../src/model/index.ts';
import { adapterOf } from '../../../src/tuning/index.ts';
import { trainedNumbers } from '../../../src/tuning/trained.ts';

/** A layer of one map of 4096 inputs and 64 times as many outputs, of which an emulator's block may keep one. */
const block = (layer: number): Slots => ({
  up: { name: `h.${layer}.up.weight`, shape: [262_144, 4096] },
});
const architecture = {
  family: 'test',
  block,
  head: { head: { name: 'lm_head.weight', shape: [100, 4096] } },
} as unknown as Architecture;

test.each([
  ['LoRA', { type: 'lora', rank: 4 }, 2 * 4 * (4096 + 262_144)],
  ['LoRA and the head', { type: 'lora', rank: 1, head: true }, 2 * (4096 + 262_144) + 100 * 4096],
  ['whole layers', { type: 'layers' }, 2 * 262_144 * 4096],
] as const)(
  'what trains is counted by its shapes, before anything is made of them: %s',
  (_, spec, numbers) => {
    expect(trainedNumbers(architecture, adapterOf(spec), [0, 7])).toBe(numbers);
  },
);

it('of a change beside a narrower map nothing is made before its values are there, whatever its rank', () => {
  const narrower = {
    widths: { heads: 1, groups: 1, inner: 20_000 },
    kept: { inner: Array.from({ length: 20_000 }, (_, i) => i) },
  };
  const model = {
    ...architecture,
    widths: { heads: 1, groups: 1, inner: 262_144 },
    cuts: { up: { side: 'to', runs: [{ of: 'inner', size: 1 }] } },
  } as unknown as Architecture;
  const before = process.memoryUsage().arrayBuffers;
  const changes = adapterOf({ type: 'lora', rank: 1024 }).beside!(model, 0, narrower);
  expect(changes[1]!.inserted?.shape).toEqual([20_000, 1024]);
  // Before: 82 MB of places.
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 20);
});

it('what trains may take 24 bytes a number, of 2 GiB or twice the memory, and twelve for each of the emulator that is paid for', () => {
  const check = (numbers: number, stored: number, memory: number) => () =>
    checkTrainedMemory({ numbers, stored, memory });
  const [small, gigabyte] = [2 ** 19, 2 ** 30];
  const most = Math.floor((2 * gigabyte) / 24);
  expect(check(most, small, 2 ** 28)).not.toThrow();
  expect(check(most + 1, small, 2 ** 28)).toThrow(
    `spec.adapter: training its ${most + 1} numbers in this emulator of 524288 bytes would take ${24 * (most + 1)} bytes ` +
      "(values, gradients, AdamW's moments), more than 2147483648; lower spec.adapter.rank or size, or raise spec.engine.memory",
  );
  expect(check(2 * most, small, 2 * gigabyte)).not.toThrow();
  // Four whole layers of a model of seven billion parameters, and the rest of its emulator, in bfloat16.
  expect(check(4 * 202_375_168, 8 * 202_375_168 + 2 * 131_072_000, 4 * gigabyte)).not.toThrow();
});
