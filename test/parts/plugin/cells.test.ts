import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { hashFiles } from '../../../src/artifact/index.ts';
import { layoutOf } from '../../../src/emulator/plan/layout.ts';
import { Engine } from '../../../src/engine/index.ts';
import { measure, packForModel, type TaskData } from '../../../src/evaluation/index.ts';
import {
  Decoder,
  exactBlocks,
  type Model,
  type Overlay,
  openHashed,
  openModel,
  weightsOf,
} from '../../../src/model/index.ts';
import { measureCells, type Sides, withReferences } from '../../../src/plugin/cells.ts';
import { valuesOf } from '../../../src/plugin/measured.ts';
import { trainedIn } from '../../../src/plugin/origin.ts';
import { writeTinyModel } from '../../support/tiny/index.ts';

const directory = mkdtempSync(join(tmpdir(), 'offsite-cells-'));
const plan = { clusters: [[0, 1], [2]], kept: [1, 2], transferLayers: [1], source: [1, 1, 2] };
const memory = 1 << 24;
const emit = () => {};
const trained = 'model.layers.1.mlp.up_proj.weight';

let engine: Engine;
let full: Model;
/** As a bundle's may be: its blocks have the full model's names and shapes, and weights of their own. */
let own: Model;
let task: TaskData;

beforeAll(async () => {
  engine = await Engine.create({ provider: 'cpu', threads: 1 });
  const small = { layers: 3, hidden: 16, intermediate: 16 };
  writeTinyModel(join(directory, 'full'), { ...small, seed: 1 });
  writeTinyModel(join(directory, 'own'), { ...small, seed: 2 });
  full = openModel(join(directory, 'full'));
  const ownPath = join(directory, 'own');
  own = openHashed(ownPath, hashFiles(ownPath).files, {
    blocks: (architecture) => plan.kept.map((layer) => architecture.block(layer)),
  });
  const examples = [3, 4].map((length, row) => ({
    row,
    trunk: Array.from({ length }, (_, i) => i + row + 1),
    branches: [],
    bytes: [],
  }));
  const batches = packForModel(examples, full.architecture, { memory: 2 ** 30 });
  task = { name: 'rows', metric: 'perplexity', examples, batches };
});
afterAll(async () => {
  full.close();
  own.close();
  await engine.dispose();
  rmSync(directory, { recursive: true, force: true });
});

/** Twice the model's own weight. */
const doubled = (model: Pick<Model, 'read'>): Overlay => ({
  has: (name) => name === trained,
  get: (name) => (name === trained ? model.read(name).map((value) => 2 * value) : undefined),
});

test("an emulator's cells are those of the weights in its bundle, with the adapter on them", async () => {
  const cell = async (model: Model, options: Omit<Parameters<typeof weightsOf>[1], 'memory'>) => {
    const decoder = new Decoder(engine, model.architecture, weightsOf(model, { ...options, memory }));
    const found = await measure(decoder, task, { memory, stage: 'test', emit });
    return found.cell.value.toFixed(4);
  };
  const blocks = exactBlocks(own.architecture, plan.source);
  const adapter = { on: doubled, origin: trainedIn('out/adapter') } as unknown as Sides['adapter'];
  const bundle = { model: own, layout: layoutOf(plan), plan };
  const sides = { model: full, bundle, adapter, plugged: doubled(full) };
  const [measured] = await measureCells([task], sides, { engine, memory, emit, resamples: 100, seed: 1 });
  const values = Object.entries(measured!.cells).map(([name, found]) => [name, found?.value]);
  expect(Object.fromEntries(values)).toEqual({
    fullZeroShot: await cell(full, {}),
    emulatorZeroShot: await cell(own, { blocks }),
    // Position 0 repeats the transfer layer, and runs it as it was.
    emulatorFineTuned: await cell(own, { blocks, overlays: new Map([[1, doubled(own)]]) }),
    plugIn: await cell(full, { overlay: doubled(full) }),
  });
  expect(new Set(values.map(([, value]) => value)).size).toBe(4);
  expect(await cell(full, { blocks })).not.toBe(measured!.cells['emulatorZeroShot']?.value);
});

/** With it no score is a number. */
const spoilt: typeof doubled = () => ({
  has: (name) => name === trained,
  get: (name) => (name === trained ? new Float32Array(16 * 16).fill(Number.NaN) : undefined),
});

test.each([
  ['adapter on the emulator', { on: spoilt }, doubled, 'out/adapter: with it the emulator gives row 1'],
  ['adapter on the model', { on: doubled }, spoilt, 'out/adapter: with it the model gives row 1'],
])('a score that is not a number with the %s alone is its fault', async (_, { on }, pluggedIn, message) => {
  const adapter = { on, origin: trainedIn('out/adapter') } as unknown as Sides['adapter'];
  const bundle = { model: own, layout: layoutOf(plan), plan };
  const sides = { model: full, bundle, adapter, plugged: pluggedIn(full) };
  const measured = measureCells([task], sides, { engine, memory, emit, resamples: 100, seed: 1 });
  await expect(measured).rejects.toThrow(
    `${message} a score that is not a number; without it every score is one: train with a lower learning rate`,
  );
});

test.each([
  ['model', true, 'the model gives row 1'],
  ['emulator', false, 'the emulator gives row 1'],
])(
  'a score of the %s that is not a number without the adapter is not its fault',
  async (_, isFull, message) => {
    const adapter = { on: doubled, origin: trainedIn('out/adapter') } as unknown as Sides['adapter'];
    const damaged = (model: Model) =>
      new Proxy(model, {
        get(of, name) {
          if (name === 'read')
            return (tensor: string, ...rest: []) =>
              tensor === 'model.norm.weight'
                ? new Float32Array(16).fill(Number.NaN)
                : of.read(tensor, ...rest);
          const value = Reflect.get(of, name, of) as unknown;
          return typeof value === 'function' ? (value.bind(of) as unknown) : value;
        },
      });
    const bundle = { model: isFull ? own : damaged(own), layout: layoutOf(plan), plan };
    const model = isFull ? damaged(full) : full;
    const measured = measureCells(
      [task],
      { model, bundle, adapter, plugged: doubled(full) },
      { engine, memory, emit, resamples: 100, seed: 1 },
    );
    await expect(measured).rejects.toThrow(`${message} a score that is not a number; check its weights`);
  },
);

test('pairs are compared with the full model in every cell, whose own are one half', async () => {
  const examples = [3, 4, 5, 6].map((length, row) => ({
    row,
    trunk: Array.from({ length }, (_, i) => i + row + 1),
    ...{ branches: [[7], [8, 9]], answer: 1, bytes: [1, 1] },
  }));
  const batches = packForModel(examples, full.architecture, { memory: 2 ** 30 });
  const pairs: TaskData = { name: 'pairs', metric: 'pair_acc', examples, batches };
  const adapter = { on: doubled, origin: trainedIn('out/adapter') } as unknown as Sides['adapter'];
  const bundle = { model: own, layout: layoutOf(plan), plan };
  const sides = { model: full, bundle, adapter, plugged: doubled(full) };
  const options = { engine, memory, emit, resamples: 100, seed: 1 };
  const [task] = await withReferences([pairs], sides, options);
  const [measured] = await measureCells([pairs], sides, options);
  expect(measured!.cells.fullZeroShot).toEqual({ value: '0.5000', stderr: '0.0000' });
  const decoder = new Decoder(
    engine,
    own.architecture,
    weightsOf(own, { blocks: exactBlocks(own.architecture, plan.source), memory }),
  );
  const { cell } = await measure(decoder, task!, { memory, stage: 'test', emit });
  expect(measured!.cells.emulatorZeroShot.value).toBe(cell.value.toFixed(4));
  // halves are not told by the rounded cells
  expect(
    valuesOf({ ...measured!, cells: { ...measured!.cells, plugIn: { value: '9', stderr: '9' } } })
      .fullZeroShot,
  ).toBe(0.5);
  expect(measured!.exact).toMatchObject({ fullZeroShot: '0.5' });
});
