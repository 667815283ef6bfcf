import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type PackedBatch, pack, Random } from '../../../src/data/index.ts';
import { distillation, elevation } from '../../../src/emulator/refine/losses.ts';
import { taughtLayer, taughtLikelihoods, taughtStates } from '../../../src/emulator/refine/teacher.ts';
import { Engine } from '../../../src/engine/index.ts';
import {
  type BlockShape,
  Decoder,
  type Model,
  openModel,
  shapedSlots,
  type WeightSource,
  weightsOf,
} from '../../../src/model/index.ts';
import { gradientStep } from '../../../src/training/gradient-step.ts';
import type { Objective } from '../../../src/training/index.ts';
import { writeTinyModel } from '../../support/tiny/index.ts';

const directory = mkdtempSync(join(tmpdir(), 'offsite-refine-'));
const shape: BlockShape = {
  maps: { query: { is: 'factors', rank: 3 }, down: { is: 'factors', rank: 4 } },
  biases: ['query', 'down'],
};
let engine: Engine;
let model: Model;
let full: Decoder;
let batches: PackedBatch[];

beforeAll(async () => {
  engine = await Engine.create({ provider: 'cpu', threads: 1 });
  writeTinyModel(directory, { layers: 3, hidden: 16, intermediate: 16 });
  model = openModel(directory);
  full = new Decoder(engine, model.architecture, weightsOf(model, { memory: 1 << 24 }));
  const rows = [
    [1, 2, 3, 4, 5],
    [7, 6, 5],
  ];
  const examples = rows.map((trunk, row) => ({ row, trunk, branches: [], bytes: [] }));
  batches = examples.flatMap((example) => pack([example], { capacity: 16, batch: 1 }));
});
afterAll(async () => {
  model.close();
  await engine.dispose();
  rmSync(directory, { recursive: true, force: true });
});

/** The model whose middle block is held as factors with biases, of numbers that are drawn. */
function factored(): { source: WeightSource; weights: Record<string, Float32Array> } {
  const own = weightsOf(model, { memory: 1 << 24 });
  const slots = shapedSlots(model.architecture.block(1), shape);
  const random = new Random(3);
  const weights = Object.fromEntries(
    Object.entries(slots).map(([slot, { shape }]) => [
      slot,
      own.block(1)[slot]?.slice() ??
        Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random.next() / 2 ** 32 - 0.5),
    ]),
  );
  const source: WeightSource = {
    ...own,
    slots: (position) => (position === 1 ? slots : own.slots(position)),
    block: (position) => (position === 1 ? weights : own.block(position)),
  };
  return { source, weights };
}

const slots = ['queryLeft', 'queryRight', 'queryBias', 'downLeft', 'gate'];

/** The gradients of some slots along a direction of their own, and the loss's differences there. */
async function compared(objective: Objective, recompute: boolean) {
  const { source, weights } = factored();
  const decoder = new Decoder(engine, model.architecture, source);
  const step = () => gradientStep(decoder, batches, new Map([[1, true as const]]), { objective, recompute });
  const { loss, gradients } = await step();
  const random = new Random(5);
  const found: { slot: string; analytic: number; numeric: number }[] = [];
  for (const slot of slots) {
    const values = weights[slot]!;
    const before = values.slice();
    const direction = before.map(() => random.next() / 2 ** 32 - 0.5);
    const h = 0.01;
    const at = async (by: number) => {
      before.forEach((value, i) => {
        values[i] = value + by * direction[i]!;
      });
      return (await step()).loss;
    };
    const numeric = ((await at(h)) - (await at(-h))) / (2 * h);
    values.set(before);
    const gradient = gradients.get(1)![slot]!;
    found.push({ slot, numeric, analytic: gradient.reduce((sum, g, i) => sum + g * direction[i]!, 0) });
  }
  return { loss, found };
}

test.each([
  { position: 1, recompute: false },
  { position: 2, recompute: true },
])(
  'the gradient of a distillation behind position $position is that of its differences, through factors and biases',
  async ({ position, recompute }) => {
    const objective = distillation({ lm: 0.5, kd: 3 }, position, await taughtStates(full, batches, position));
    const { loss, found } = await compared(objective, recompute);
    for (const { analytic, numeric, slot } of found)
      expect(Math.abs(analytic - numeric), slot).toBeLessThan(1e-3 * Math.max(1, Math.abs(numeric)));
    const without = await compared(
      distillation({ lm: 0.5, kd: 0 }, position, await taughtStates(full, batches, position)),
      recompute,
    );
    expect(loss).toBeGreaterThan(without.loss + 0.1);
  },
);

test('a model distilled from itself has no distance', async () => {
  const objective = distillation({ lm: 0, kd: 30 }, 2, await taughtStates(full, batches, 2));
  const { loss, gradients } = await gradientStep(full, batches, new Map([[1, true as const]]), {
    objective,
    recompute: false,
  });
  expect(loss).toBe(0);
  for (const values of Object.values(gradients.get(1)!))
    expect(values.every((value) => value === 0)).toBe(true);
});

test('the distance is the mean over tokens and dimensions, of each by the size of its token, and not of padding', () => {
  const batch = { rows: Int32Array.of(0, 0, -1), tokens: 2, targets: [] } as unknown as PackedBatch;
  const states = Float32Array.of(3, 4, 30, 40, 9, 9);
  const { states: loss } = distillation({ lm: 1, kd: 2 }, 0, new Map([[batch, { states }]]));
  const own = Float32Array.of(3, 9, 30, 45, 0, 0);
  // rms^2: 12.5 and 1250
  const found = loss!.measure(own, batch);
  expect(found.loss).toBeCloseTo((2 / 4) * (25 / 12.5 + 25 / 1250), 5);
  expect([...found.gradient]).toEqual([0, expect.closeTo(0.4, 5), 0, expect.closeTo(0.004, 6), 0, 0]);
});

test.each([
  { margin: -400, sign: 1 },
  { margin: 400, sign: -1 },
])(
  'an elevation to $margin nats above the full model has the gradient of its differences',
  async ({ margin, sign }) => {
    const objective = elevation(margin, await taughtLikelihoods(full, batches));
    const { found } = await compared(objective, false);
    for (const { analytic, numeric, slot } of found)
      expect(Math.abs(analytic - numeric), slot).toBeLessThan(2e-3 * Math.max(1, Math.abs(numeric)));
    const plain = await compared({ ...objective, of: (sum) => ({ loss: sum, slope: 1 }) }, false);
    for (const [i, { analytic }] of found.entries())
      expect(analytic).toBeCloseTo(sign * plain.found[i]!.analytic, 5);
  },
);

test('the full model is that far above itself', async () => {
  const objective = elevation(2.5, await taughtLikelihoods(full, batches));
  const { loss } = await gradientStep(full, batches, new Map([[1, true as const]]), {
    objective,
    recompute: false,
  });
  expect(loss).toBeCloseTo(2.5, 4);
});

test('a position is taught by the layer before the next one that is there', () => {
  const shallow = { source: [0, 3, 5, 8] };
  expect([0, 1, 2, 3].map((position) => taughtLayer(shallow, position, 10))).toEqual([2, 4, 7, 9]);
  expect(taughtLayer({ source: [0, 0, 2, 2] }, 1, 4)).toBe(1);
});
