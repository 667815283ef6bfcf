import { expect, test } from 'vitest';
import type { Given } from '../../../src/emulator/compression/compression.ts';
import { laco } from '../../../src/emulator/compression/laco.ts';
import type { Model, Slots } from '../../../src/model/index.ts';

/** Layers of one map and one norm whose tensors hold known numbers. */
function given(clusters: number[][], kept: number[], widths: number[] = []): Given {
  const block = (layer: number): Slots => ({
    map: { name: `${layer}.weight`, shape: [2, widths[layer] ?? 2] },
    norm: { name: `${layer}.norm`, shape: [2] },
  });
  const read = (name: string) => {
    const layer = Number(name.split('.')[0]);
    return name.endsWith('norm') ? Float32Array.of(layer, 1) : Float32Array.of(10 * layer, layer, 0, -layer);
  };
  return {
    model: { architecture: { block }, read } as unknown as Model,
    plan: { clusters, kept, transferLayers: [], source: kept },
    engine: { throwIfCancelled: () => {} },
  } as unknown as Given;
}

test('a kept layer gets what each removed layer of its cluster differs by, in every tensor', async () => {
  const all = given([[0], [1, 2, 3]], [0, 2]);
  const shapes = await laco.plan([0, 2], all, {});
  expect([...shapes]).toEqual([[2, {}]]);
  const merged = await laco.derive(2, {}, all, {});
  // 2 + (1 - 2) + (3 - 2) = 2: what removed layers differ by cancels out here, and does not below.
  expect(Object.fromEntries(merged)).toEqual({
    map: Float32Array.of(20, 2, 0, -2),
    norm: Float32Array.of(2, 1),
  });
  const last = await laco.derive(3, {}, given([[0], [1, 2, 3]], [0, 3]), {});
  expect(Object.fromEntries(last)).toEqual({
    map: Float32Array.of(0, 0, 0, 0),
    norm: Float32Array.of(0, 1),
  });
  const first = await laco.derive(1, {}, given([[0], [1, 2, 3]], [0, 1]), {});
  expect(first.get('map')).toEqual(Float32Array.of(40, 4, 0, -4));
});

test('layers of other shapes are not merged', async () => {
  await expect(laco.derive(0, {}, given([[0, 1]], [0], [2, 3]), {})).rejects.toThrow(
    /layer 1 into layer 0.*0\.weight/,
  );
});
