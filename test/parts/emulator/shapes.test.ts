import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hashFiles, onDisk, WrittenFiles } from '../../../src/artifact/index.ts';
import { encodeFloats, writeSafetensors } from '../../../src/checkpoint/index.ts';
import { pack } from '../../../src/data/index.ts';
import { openBlocks } from '../../../src/emulator/bundle.ts';
import { layoutOf, placedBlocks, tensorSlots } from '../../../src/emulator/plan/layout.ts';
import { checkShape, readShapes, writeShapes } from '../../../src/emulator/shapes.ts';
import { Engine } from '../../../src/engine/index.ts';
import {
  type BlockShape,
  Decoder,
  exactBlocks,
  linearMaps,
  type Model,
  mapSize,
  openModel,
  type PlacedBlock,
  shapedSlots,
  weightsOf,
} from '../../../src/model/index.ts';
import { writeTinyFamily } from '../../support/tiny/index.ts';

const work = mkdtempSync(join(tmpdir(), 'offsite-shapes-'));
const memory = 1 << 24;
const plan = { clusters: [[0], [1]], kept: [0, 1], transferLayers: [0], source: [0, 1] };

let engine: Engine;
beforeAll(async () => {
  engine = await Engine.create({ provider: 'cpu', threads: 1 });
});
afterAll(async () => {
  await engine.dispose();
  rmSync(work, { recursive: true, force: true });
});

const rank = 2;
/** Numbers that are nowhere the same. */
const numbers = (length: number, seed: number) =>
  Float32Array.from({ length }, (_, i) => Math.sin(i * 12.9898 + seed * 78.233) / 4);

/** What a bundle holds whose block 1 is of a shape, with the given values by name. */
function writeBundle(
  directory: string,
  full: Model,
  shape: BlockShape,
  values: Map<string, Float32Array>,
): void {
  mkdirSync(directory, { recursive: true });
  const shapes = new Map([[1, shape]]);
  writeSafetensors(
    join(directory, 'model.safetensors'),
    tensorSlots(full.architecture, layoutOf(plan, shapes)).map(({ name, shape }) => ({
      ...{ name, shape, dtype: 'F32' as const },
      bytes: () => encodeFloats(values.get(name) ?? full.read(name), 'F32'),
    })),
  );
  writeFileSync(join(directory, 'config.json'), full.configText);
  writeShapes(new WrittenFiles(directory), shapes);
}

const states = async (model: Model, blocks: PlacedBlock[], values?: Map<string, Float32Array>) => {
  const weights = weightsOf(model, { memory, blocks, ...(values && { overlay: values }) });
  const decoder = new Decoder(engine, model.architecture, weights);
  const example = { row: 0, trunk: [1, 2, 3, 4, 5, 6], branches: [], bytes: [] };
  const batch = pack([example], { capacity: 16, batch: 1 })[0]!;
  let x = await decoder.embed(batch);
  for (let position = 0; position < 2; position++) x = await decoder.forward([position], x, batch);
  return (await decoder.read(x)).slice(0, 6 * model.architecture.hidden);
};

describe.each(['llama', 'gpt2', 'phi3', 'gpt-neox'])('a block of %s as factors', (family) => {
  const directory = join(work, family);
  let full: Model;
  let shape: BlockShape;
  const factors = new Map<string, Float32Array>();
  const product = new Map<string, Float32Array>();

  beforeAll(() => {
    writeTinyFamily(join(directory, 'full'), family);
    full = openModel(join(directory, 'full'));
    const slots = full.architecture.block(1);
    const maps = linearMaps(slots);
    shape = { maps: Object.fromEntries(maps.map(([slot]) => [slot, { is: 'factors', rank }])) };
    const shaped = shapedSlots(slots, shape);
    for (const [i, [slot, map]] of maps.entries()) {
      const { to, from } = mapSize(map);
      const [left, right] = [numbers(to * rank, i), numbers(rank * from, i + 100)];
      factors.set(shaped[`${slot}Left`]!.name, left).set(shaped[`${slot}Right`]!.name, right);
      const at = (row: number, column: number) =>
        left[row * rank]! * right[column]! + left[row * rank + 1]! * right[from + column]!;
      const weight = Float32Array.from({ length: to * from }, (_, j) =>
        map.transposed ? at(j % to, Math.floor(j / to)) : at(Math.floor(j / from), j % from),
      );
      product.set(map.name, weight);
    }
  });
  afterAll(() => full.close());

  test('computes what the same weights do multiplied out', async () => {
    const bundle = join(directory, 'bundle');
    writeBundle(bundle, full, shape, factors);
    const shapes = readShapes(bundle, onDisk, plan);
    expect(shapes).toEqual(new Map([[1, shape]]));
    const layout = layoutOf(plan, shapes);
    const model = openBlocks(bundle, layout, hashFiles(bundle).files);
    try {
      const ours = await states(model, placedBlocks(model.architecture, layout));
      const own = exactBlocks(full.architecture, [0, 1]);
      // Of the product's names, only block 1's are there.
      const expected = await states(full, own, product);
      const exact = await states(full, own);
      for (const [i, value] of ours.entries()) expect(Math.abs(value - expected[i]!)).toBeLessThan(1e-4);
      expect(ours.some((value, i) => Math.abs(value - exact[i]!) > 1e-2)).toBe(true);
    } finally {
      model.close();
    }
  });
});

test('a map of a family without biases may have one', async () => {
  const directory = join(work, 'biased');
  writeTinyFamily(join(directory, 'full'), 'llama');
  const full = openModel(join(directory, 'full'));
  const bias = numbers(full.architecture.hidden, 7);
  const shape = { biases: ['down'] };
  writeBundle(join(directory, 'bundle'), full, shape, new Map([['model.layers.1.mlp.down_proj.bias', bias]]));
  const layout = layoutOf(plan, new Map([[1, shape]]));
  const model = openBlocks(join(directory, 'bundle'), layout, hashFiles(join(directory, 'bundle')).files);
  const ours = await states(model, placedBlocks(model.architecture, layout));
  const exact = await states(full, exactBlocks(full.architecture, [0, 1]));
  for (const [i, value] of ours.entries()) expect(value - exact[i]!).toBeCloseTo(bias[i % bias.length]!, 4);
  model.close();
  full.close();
});

describe('what emulator.json may say', () => {
  const at = (content: unknown) => {
    const directory = mkdtempSync(join(work, 'file-'));
    writeFileSync(
      join(directory, 'emulator.json'),
      typeof content === 'string' ? content : JSON.stringify(content),
    );
    return readShapes(directory, onDisk, plan);
  };

  test('a file that came after the others were hashed is not read', () => {
    const directory = mkdtempSync(join(work, 'late-'));
    writeFileSync(join(directory, 'model.safetensors'), '');
    const { files } = hashFiles(directory);
    writeFileSync(join(directory, 'emulator.json'), '{"blocks":{}}');
    expect(readShapes(directory, files, plan).size).toBe(0);
  });

  test.each([
    ['no JSON', '{', /emulator\.json: is damaged; build the emulator again/],
    ['an unknown field', { blocks: {}, more: 1 }, /is damaged/],
    ['a layer that is no number', { blocks: { __proto__x: {} } }, /is damaged/],
    ['another form', { blocks: { 1: { maps: { up: { is: 'sparse', rank: 1 } } } } }, /is damaged/],
    ['width 0', { blocks: { 1: { widths: { heads: 0 } } } }, /is damaged/],
    ['a width that is no count', { blocks: { 1: { widths: { inner: 1.5 } } } }, /is damaged/],
    ['another width', { blocks: { 1: { widths: { hidden: 8 } } } }, /is damaged/],
    ['rank 0', { blocks: { 1: { maps: { up: { is: 'factors', rank: 0 } } } } }, /is damaged/],
    ['5 bits', { blocks: { 1: { maps: { up: { is: 'quantised', bits: 5, group: 8 } } } } }, /is damaged/],
    ['no group', { blocks: { 1: { maps: { up: { is: 'quantised', bits: 4, group: 0 } } } } }, /is damaged/],
    ['a layer that is not kept', { blocks: { 2: {} } }, /block 2 is not among the kept layers/],
    ['a transfer layer', { blocks: { 0: {} } }, /block 0 is a transfer layer, which is always exact/],
  ])('%s', (_, content, message) => {
    expect(() => at(content)).toThrow(message);
  });

  test.each<[string, BlockShape, RegExp]>([
    [
      'a norm',
      { maps: { mlpNorm: { is: 'factors', rank: 1 } } },
      /block 1: mlpNorm is no linear map of a llama layer/,
    ],
    [
      'constructor',
      { maps: { ['constructor']: { is: 'factors', rank: 1 } as const } },
      /constructor is no linear map/,
    ],
    [
      'a rank above the map',
      { maps: { up: { is: 'factors', rank: 999 } } },
      /up has rank 999, and a map of \d+ to \d+ has none above \d+/,
    ],
    ['a bias of no map', { biases: ['mlpNorm'] }, /mlpNorm is no linear map without a bias/],
    ['more channels', { widths: { inner: 999 } }, /block 1: has 999 inner, and the model \d+/],
    [
      'fewer heads to a group',
      { widths: { heads: 2 } },
      /2 heads and 2 groups do not fit a model with 4 and 2/,
    ],
    ['groups without their heads', { widths: { groups: 1 } }, /4 heads and 1 groups do not fit/],
    [
      'a rank above the narrower map',
      { widths: { inner: 3 }, maps: { up: { is: 'factors', rank: 4 } } },
      /up has rank 4, and a map of \d+ to 3 has none above 3/,
    ],
    [
      'kept channels that are not as many',
      { widths: { inner: 3 }, kept: { inner: [0, 1] } },
      /kept\.inner: must name 3 of the \d+ inner, ascending/,
    ],
    [
      'kept channels in no order',
      { widths: { inner: 3 }, kept: { inner: [0, 2, 2] } },
      /kept\.inner: must name 3 of/,
    ],
    [
      'a channel that the model lacks',
      { widths: { inner: 2 }, kept: { inner: [0, 999] } },
      /kept\.inner: must name 2 of/,
    ],
    [
      'heads of a group that is not kept',
      { widths: { heads: 2, groups: 1 }, kept: { heads: [0, 1], groups: [1] } },
      /kept\.heads: must be those of the groups that are kept/,
    ],
    ['a bias twice', { biases: ['up', 'up'] }, /a bias is named twice/],
  ])('%s', (_, shape, message) => {
    const model = openModel(join(work, 'llama', 'full'));
    try {
      expect(() => checkShape('bundle', model.architecture, 1, shape)).toThrow(message);
    } finally {
      model.close();
    }
  });
});
