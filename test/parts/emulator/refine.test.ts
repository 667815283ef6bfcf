import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type Example, packStep, Random } from '../../../src/data/index.ts';
import { layoutOf, placedBlocks } from '../../../src/emulator/plan/layout.ts';
import { distillation, elevation } from '../../../src/emulator/refine/losses.ts';
import { type RefineOptions, refine, type Tensors } from '../../../src/emulator/refine/refine.ts';
import { taughtLikelihoods, taughtStates } from '../../../src/emulator/refine/teacher.ts';
import { Engine } from '../../../src/engine/index.ts';
import { type BlockShape, Decoder, type Model, openModel, weightsOf } from '../../../src/model/index.ts';
import type { Emit } from '../../../src/progress/index.ts';
import { gradientStep } from '../../../src/training/gradient-step.ts';
import { writeTinyModel } from '../../support/tiny/index.ts';

const directory = mkdtempSync(join(tmpdir(), 'offsite-refine-'));
const own = join(directory, 'own');
const memory = 2 ** 26;
const plan = { clusters: [[0], [1], [2]], kept: [0, 1, 2], transferLayers: [0, 2], source: [0, 1, 2] };
const shape: BlockShape = { maps: { down: { is: 'factors', rank: 6 } }, biases: ['down'] };
const layout = layoutOf(plan, new Map([[1, shape]]));
const examples: Example[] = Array.from({ length: 6 }, (_, row) => ({
  ...{ row, branches: [], bytes: [] },
  trunk: Array.from({ length: 4 + row }, (_, i) => ((i * (row + 3)) % 50) + 1),
}));
const batches = () => packStep(examples, [0, 1, 2, 3, 4, 5], { capacity: 16, batch: 4 });
let engine: Engine;
let model: Model;
let derived: Tensors;

beforeAll(async () => {
  engine = await Engine.create({ provider: 'cpu', threads: 1 });
  writeTinyModel(join(directory, 'model'), { layers: 3, hidden: 16, intermediate: 16 });
  model = openModel(join(directory, 'model'));
  const random = new Random(3);
  const drawn = (length: number) =>
    Float32Array.from({ length }, () => (random.next() / 2 ** 32 - 0.5) * 0.3);
  const values = new Map([
    ['model.layers.1.mlp.down_proj.left.weight', drawn(16 * 6)],
    ['model.layers.1.mlp.down_proj.right.weight', drawn(6 * 16)],
    ['model.layers.1.mlp.down_proj.bias', drawn(16)],
  ]);
  derived = { names: new Set(values.keys()), read: (name) => values.get(name)!.slice() };
});
beforeEach(() => rmSync(own, { recursive: true, force: true }));
afterAll(async () => {
  model.close();
  await engine.dispose();
  rmSync(directory, { recursive: true, force: true });
});

const distil: RefineOptions = { type: 'distil', steps: 30, batchSize: 4, learningRate: '1e-2', seed: 1 };

const run = (options: RefineOptions, emit: Emit = () => {}, checkUnchanged = () => {}) =>
  refine(
    engine,
    {
      ...{ model, plan, layout, derived, examples, own, memory, emit },
      ...{ madeFrom: { model: 'm' }, hyperparameters: {}, checkUnchanged },
    },
    options,
  );

/** The emulator that has these tensors. */
const emulatorOf = ({ names, read }: Tensors) =>
  new Decoder(
    engine,
    model.architecture,
    weightsOf(model, {
      ...{ blocks: placedBlocks(model.architecture, layout), memory: 1 << 24 },
      overlay: { has: (name) => names.has(name), get: (name) => (names.has(name) ? read(name) : undefined) },
    }),
  );

const teacher = () => new Decoder(engine, model.architecture, weightsOf(model, { memory: 1 << 24 }));

async function lossOf(tensors: Tensors, of: 'distance' | 'margin of 3'): Promise<number> {
  const rows = batches();
  const objective =
    of === 'distance'
      ? distillation({ lm: 0, kd: 1 }, 1, await taughtStates(teacher(), rows, 1))
      : elevation(3, await taughtLikelihoods(teacher(), rows));
  const options = { objective, recompute: false };
  return (await gradientStep(emulatorOf(tensors), rows, new Map([[1, true as const]]), options)).loss;
}

test('distilling brings the states of the blocks that are not exact to those of the full model', async () => {
  const before = await lossOf(derived, 'distance');
  const refined = await run(distil);
  expect(await lossOf(refined, 'distance')).toBeLessThan(before / 3);
  // all tensors of block 1 and none of another
  expect([...refined.names].every((name) => name.startsWith('model.layers.1.'))).toBe(true);
  expect(refined.names.size).toBe(11);
});

test('elevating ends at its margin above the full model', async () => {
  const before = await lossOf(derived, 'margin of 3');
  const options = { ...distil, type: 'elevate', margin: '3', steps: 100 } as const;
  expect(before).toBeGreaterThan(1);
  expect(await lossOf(await run(options), 'margin of 3')).toBeLessThan(0.2);
});

test('one that was stopped goes on from its checkpoint to the same bytes, and says what it takes', async () => {
  const options = { ...distil, steps: 52 };
  const whole = await run(options);
  rmSync(own, { recursive: true });
  const cancel = new SharedArrayBuffer(4);
  const others = engine;
  engine = await Engine.create({ provider: 'cpu', threads: 1, cancel });
  const told: Record<string, string>[] = [];
  const emit: Emit = (event) => {
    if (event.type === 'progress')
      told.push(Object.fromEntries(event.metrics.map(({ name, value }) => [name, value])));
  };
  // asked before each checkpoint, of which there is one before the last step
  const stop = () => Atomics.store(new Int32Array(cancel), 0, 1);
  await expect(run(options, emit, stop)).rejects.toMatchObject({ reason: 'Cancelled' });
  await engine.dispose();
  engine = others;
  expect(told[0]).toEqual({ steps: '52', tokensPerStep: '26' });
  expect(
    readdirSync(join(own, 'checkpoints')).flatMap((one) => readdirSync(join(own, 'checkpoints', one))),
  ).toEqual(['step-00000050']);
  const resumed = await run(options);
  for (const name of whole.names) expect(resumed.read(name), name).toEqual(whole.read(name));
});

test('what it cannot do is refused with the field', async () => {
  const exact = { model, plan, layout: layoutOf(plan), derived, examples, own, memory, emit() {} };
  const rest = { madeFrom: {}, hyperparameters: {}, checkUnchanged() {} };
  await expect(refine(engine, { ...exact, ...rest }, distil)).rejects.toThrow(
    /^spec.refine: every block .* is exact/,
  );
  const short = { ...exact, layout, examples: [{ row: 0, trunk: [1], branches: [], bytes: [] }] };
  await expect(refine(engine, { ...short, ...rest }, distil)).rejects.toMatchObject({ reason: 'BadData' });
  await expect(refine(engine, { ...exact, layout, memory: 1024, ...rest }, distil)).rejects.toThrow(
    /^spec.refine: training \d+ parameters takes \d+ bytes .* raise spec.engine.memory$/,
  );
});
