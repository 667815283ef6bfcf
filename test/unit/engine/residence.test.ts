import { beforeEach, expect, test } from 'vitest';
import { Residence } from '../../../src/engine/residence.ts';
import type { Held, Tensor } from '../../../src/engine/tensor.ts';

const tensor = (numbers: number): Tensor => ({
  dtype: 'float32',
  shape: [numbers],
  data: new Float32Array(numbers),
});

let freed: Held[];
let residence: Residence;
beforeEach(() => {
  freed = [];
  const keeping = { hold: async (held: Tensor) => ({ ...held }), free: (held: Held) => freed.push(held) };
  residence = new Residence(keeping, 40);
});
const keep = (key: string, numbers: number, ...needed: string[]) =>
  residence.keep(key, tensor(numbers), new Set(needed));

test('what was used longest ago goes where there is no room', async () => {
  const [a, b] = [await keep('a', 4), await keep('b', 4)];
  expect(residence.get('a')).toBe(a);
  const c = await keep('c', 4);
  expect(freed).toEqual([b]);
  expect(['a', 'b', 'c'].map((key) => residence.get(key))).toEqual([a, undefined, c]);
});

test('what a run needs stays, and what then does not fit is not kept', async () => {
  const a = await keep('a', 4);
  await keep('b', 4);
  expect(await keep('c', 8, 'a', 'c')).toBe(undefined);
  expect(residence.get('a')).toBe(a);
  expect(await keep('d', 11)).toBe(undefined);
  // All went for nothing: their room is there.
  expect(await keep('e', 10)).toBeDefined();
});
