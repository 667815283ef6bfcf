// What holds of every way of compressing layers, on small models of several families.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hashFiles, WrittenFiles } from '../../../src/artifact/index.ts';
import {
  encodeFloats,
  openCheckpoint,
  type TensorToWrite,
  writeSafetensors,
} from '../../../src/checkpoint/index.ts';
import { openBlocks } from '../../../src/emulator/bundle.ts';
import type { Given } from '../../../src/emulator/compression/compression.ts';
import { type CompressionOptions, compressionOf } from '../../../src/emulator/compression/index.ts';
import { deriveBlocks } from '../../../src/emulator/derived.ts';
import type { Observations } from '../../../src/emulator/observe/observations.ts';
import { layoutOf, tensorSlots } from '../../../src/emulator/plan/layout.ts';
import type { ProbeKey } from '../../../src/emulator/probe/states.ts';
import { checkShape, writeShapes } from '../../../src/emulator/shapes.ts';
import { Engine } from '../../../src/engine/index.ts';
import { checkCoded, decodedView } from '../../../src/model/coded.ts';
import {
  codedTensors,
  linearMaps,
  type Model,
  mapSize,
  openModel,
  slotsIn,
} from '../../../src/model/index.ts';
import { writeTinyFamily } from '../../support/tiny/index.ts';

const ways: Record<string, CompressionOptions> = {
  'low rank': { type: 'lowRank' },
  'low rank, by loss and gradient': {
    ...{ type: 'lowRank', ratio: '0.5', ratios: 'loss', select: 'gradient', lambda: '2' },
  },
  width: { type: 'width', ratio: '0.6' },
  '8 bits': { type: 'quantize' },
  '4 bits': { type: 'quantize', bits: 4 },
  laco: { type: 'laco' },
};
/** Maps apart, stored the other way round, fused, and fused with biases. */
const families = ['llama', 'gpt2', 'phi3', 'gpt-neox'];
/** Of two layers one stays, or both do and one trains. */
const merging = { clusters: [[0, 1]], kept: [1], transferLayers: [], source: [1, 1] };
const whole = { clusters: [[0], [1]], kept: [0, 1], transferLayers: [0], source: [0, 1] };

const work = mkdtempSync(join(tmpdir(), 'offsite-compressions-'));
const cancel = new SharedArrayBuffer(4);
const askToStop = (stop: boolean) => Atomics.store(new Int32Array(cancel), 0, Number(stop));
let engine: Engine;
beforeAll(async () => {
  engine = await Engine.create({ provider: 'cpu', threads: 1, cancel });
});
afterAll(async () => {
  await engine.dispose();
  rmSync(work, { recursive: true, force: true });
});

const number = (i: number, seed: number) => Math.sin((i * 13 + seed) ** 2);
/** X^T X / n of numbers that are nowhere the same. */
function moments(width: number, seed: number, tokens: number): Float64Array {
  const second = new Float64Array(width * width);
  for (let t = 0; t < tokens; t++)
    for (let i = 0; i < width; i++)
      for (let j = 0; j < width; j++)
        second[i * width + j]! += (number(t * width + i, seed) * number(t * width + j, seed)) / tokens;
  return second;
}

function observed(model: Model): Observations {
  const size = (layer: number, slot: string) => mapSize(model.architecture.block(layer)[slot]!);
  return {
    inputs(layer, slot) {
      const { from } = size(layer, slot);
      const mean = Float64Array.from({ length: from }, (_, i) => number(i, layer) / 100);
      return { tokens: 12, mean, second: moments(from, layer, 12) };
    },
    gradients(layer, slot) {
      const { to, from } = size(layer, slot);
      const weight = Float64Array.from({ length: to * from }, (_, i) => number(i, layer + 5));
      return { outputs: moments(to, layer + 9, 4), weight };
    },
  };
}

describe.each(families)('%s', (family) => {
  let model: Model;
  beforeAll(() => {
    writeTinyFamily(join(work, family), family);
    model = openModel(join(work, family));
  });
  afterAll(() => model.close());
  const given = (options: CompressionOptions, others: Partial<Given> = {}): Given => ({
    ...{ model, engine, found: observed(model), plan: options.type === 'laco' ? merging : whole },
    ...others,
  });

  test.each(Object.entries(ways))(
    '%s: whatever is derived fits the shape, is finite, and the same again',
    async (_, options) => {
      const way = compressionOf(options);
      const shapes = await way.plan([1], given(options));
      const shape = shapes.get(1)!;
      checkShape('bundle', model.architecture, 1, shape);
      const derived = await way.derive(1, shape, given(options));
      const slots = slotsIn(model.architecture, 1, shape);
      const own = model.architecture.block(1);
      for (const [slot, values] of derived) {
        expect(values.length, slot).toBe(slots[slot]!.shape.reduce((product, length) => product * length));
        expect(values.every(Number.isFinite), slot).toBe(true);
      }
      for (const slot of Object.keys(slots))
        if (own[slot] === undefined) expect(derived.has(slot), slot).toBe(true);
      expect(await way.plan([1], given(options))).toEqual(shapes);
      expect(await way.derive(1, shape, given(options))).toEqual(derived);
      for (const [slot, map] of linearMaps(own))
        if (derived.has(slot)) expect(derived.get(slot), slot).not.toEqual(model.read(map.name));
        else expect(derived.has(`${slot}Left`), slot).toBe(true);
    },
  );

  test('codes in a bundle come back as what was derived', async () => {
    const options = ways['4 bits']!;
    const way = compressionOf(options);
    const shapes = await way.plan([1], given(options));
    const derived = await way.derive(1, shapes.get(1)!, given(options));
    const layout = layoutOf(whole, shapes);
    const values = new Map([...derived].map(([slot, all]) => [model.architecture.block(1)[slot]!.name, all]));
    const bundle = join(work, `${family}-codes`);
    mkdirSync(bundle);
    const tensors = tensorSlots(model.architecture, layout).flatMap((slot): TensorToWrite[] => {
      const { name, shape } = slot;
      if (slot.quantised !== undefined) return codedTensors(slot, () => values.get(name)!);
      return [{ name, shape, dtype: 'F32', bytes: () => encodeFloats(model.read(name), 'F32') }];
    });
    writeSafetensors(join(bundle, 'model.safetensors'), tensors);
    writeFileSync(join(bundle, 'config.json'), model.configText);
    writeShapes(new WrittenFiles(bundle), shapes);
    const opened = openBlocks(bundle, layout, hashFiles(bundle).files);
    try {
      expect([...opened.tensors.keys()].sort()).toEqual(
        tensorSlots(model.architecture, layout)
          .map(({ name }) => name)
          .sort(),
      );
      for (const [name, all] of values) {
        // A scale may differ by its last bit from the one before the first rounding.
        const off = opened.read(name).map((value, i) => Math.abs(value - all[i]!));
        expect(Math.max(...off)).toBeLessThan(1e-6);
        const width = opened.tensors.get(name)!.shape[1]!;
        const some = opened.read(name).slice(width, 3 * width);
        expect(opened.read(name, { rows: [1, 3] })).toEqual(some);
        expect(opened.read(name, { rows: [1, 3], into: new Float32Array(2 * width) })).toEqual(some);
        expect(Buffer.from(opened.readBytes(name))).toEqual(
          Buffer.from(encodeFloats(opened.read(name), 'F32')),
        );
      }
    } finally {
      opened.close();
    }
  });
});

describe('codes of a bundle that are not as its shapes say', () => {
  const slot = { name: 'up.weight', shape: [2, 5], quantised: { bits: 4, group: 4 } } as const;
  const good = codedTensors(slot, () => Float32Array.from({ length: 10 }, (_, i) => i));
  const opened = (tensors: readonly TensorToWrite[]) => {
    const path = join(mkdtempSync(join(work, 'codes-')), 'model.safetensors');
    writeSafetensors(path, tensors);
    return openCheckpoint(path);
  };
  const others = (name: string) => good.filter((tensor) => tensor.name !== name);
  const floats = (name: string, shape: number[], value: number): TensorToWrite => ({
    ...{ name, shape, dtype: 'F32' },
    bytes: () => encodeFloats(new Float32Array(shape[0]! * shape[1]!).fill(value), 'F32'),
  });

  test.each<[string, TensorToWrite[], string]>([
    ['a part is missing', others('up.scales'), 'has no tensor up.scales'],
    [
      'the map is there, too',
      [...good, floats('up.weight', [9, 9], Number.NaN)],
      'holds tensor up.weight beside',
    ],
    ['of another shape', [...others('up.minima'), floats('up.minima', [2, 1], 0)], 'up.minima is F32 [2,1]'],
    ['of another type', [...others('up.codes'), floats('up.codes', [2, 3], 0)], 'up.codes is F32 [2,3]'],
  ])('%s', (_, tensors, message) => {
    const checkpoint = opened(tensors);
    expect(() => checkCoded('bundle', checkpoint, slot)).toThrow(message);
    checkpoint.close();
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY, 3e38])('a scale is %f', (scale) => {
    const checkpoint = opened([...others('up.scales'), floats('up.scales', [2, 2], scale)]);
    checkCoded('bundle', checkpoint, slot);
    const view = decodedView('bundle', checkpoint, [slot]);
    expect(() => view.read('up.weight')).toThrow(/up\.(weight|scales)/);
    checkpoint.close();
  });
});

const probed: ProbeKey = {
  ...{ model: 'sha256:1', tokenizer: 'sha256:2', data: 'sha256:3', format: 'text', samples: 12 },
  ...{ maxLength: 16, pooling: 'mean', skipFirst: false },
};

describe.each(Object.entries(ways))('%s', (way, options) => {
  let model: Model;
  beforeAll(() => {
    model = openModel(join(work, 'llama'));
  });
  afterAll(() => {
    askToStop(false);
    model.close();
  });
  const plan = options.type === 'laco' ? merging : whole;

  test('a stop is heard between maps, and what was done before it is not done again', async () => {
    let reads = 0;
    let stopAt = 2;
    const heard: Model = {
      ...model,
      read(name, how) {
        if (++reads === stopAt) askToStop(true);
        return model.read(name, how);
      },
    };
    const given: Given = { model: heard, engine, found: observed(model), plan };
    const told: string[] = [];
    const derive = () =>
      deriveBlocks(join(work, `own-${way}`), given, options, {
        probed,
        emit: (event) => told.push(event.type),
      });
    mkdirSync(join(work, `own-${way}`));
    await expect(derive()).rejects.toMatchObject({ reason: 'Cancelled' });
    expect(reads).toBeLessThan(7);
    askToStop(false);
    stopAt = -1;
    const first = await derive();
    expect(told.length).toBeGreaterThan(0);
    expect([...first.shapes.keys()]).toEqual([1]);
    const before = reads;
    const second = await derive();
    for (const name of first.names) expect(second.read(name)).toEqual(first.read(name));
    // The plan is made again, blocks are not.
    const again = reads - before;
    await compressionOf(options).plan([1], given);
    expect(reads - before).toBe(2 * again);
  });
});
