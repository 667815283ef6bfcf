import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type Example, pack, packStep } from '../../../../src/data/index.ts';
import { epochOrder } from '../../../../src/data/order.ts';
import { type AttackOptions, attack, stopsOf } from '../../../../src/emulator/leak/attack.ts';
import { recoveryOf } from '../../../../src/emulator/leak/recovery.ts';
import { layoutOf } from '../../../../src/emulator/plan/layout.ts';
import { Engine } from '../../../../src/engine/index.ts';
import { type Cell, measure, type TaskData } from '../../../../src/evaluation/index.ts';
import { logits } from '../../../../src/model/head.ts';
import { Decoder, type Model, openModel, weightsOf } from '../../../../src/model/index.ts';
import type { Emit } from '../../../../src/progress/index.ts';
import { writeTinyModel } from '../../../support/tiny/index.ts';

const directory = mkdtempSync(join(tmpdir(), 'offsite-attack-'));
const own = join(directory, 'own');
const memory = 2 ** 26;
const layers = [0, 1];
const layout = layoutOf({ clusters: [[0], [1]], kept: layers, transferLayers: [0], source: layers });
const options: AttackOptions = { tokens: [20, 40, 80], learningRate: 1e-4, batchSize: 2, seed: 7 };
let engine: Engine;
let model: Model;
let other: Model;
let examples: Example[];
let task: TaskData;
let full: Cell;

const opened = (name: string, seed: number) => {
  writeTinyModel(join(directory, name), { layers: 2, hidden: 16, intermediate: 16, seed });
  return openModel(join(directory, name));
};
const decoderOf = (of: Model) => new Decoder(engine, of.architecture, weightsOf(of, { memory: 1 << 24 }));

/** Rows that the model would go on with itself, so that it knows what comes. */
async function said(count: number, first: number): Promise<Example[]> {
  const decoder = decoderOf(model);
  const rows: Example[] = [];
  for (let row = 0; row < count; row++) {
    const trunk = [first + row];
    while (trunk.length < 9) {
      const [batch] = pack([{ row, trunk, branches: [], bytes: [] }], { capacity: 16, batch: 1 });
      let x = await decoder.embed(batch!);
      for (const position of layers) x = await decoder.forward([position], x, batch!);
      const found = await decoder.head(x, [{ from: trunk.length - 1, token: 0, row, branch: 0 }], logits);
      trunk.push(found.indexOf(Math.max(...found)));
    }
    rows.push({ row, trunk, branches: [], bytes: [] });
  }
  return rows;
}

beforeAll(async () => {
  engine = await Engine.create({ provider: 'cpu', threads: 1 });
  model = opened('model', 1);
  other = opened('other', 2);
  examples = await said(4, 3);
  const held = await said(4, 20);
  task = {
    ...{ name: 'held out', metric: 'perplexity', examples: held },
    batches: packStep(held, [0, 1, 2, 3], { capacity: 64, batch: 1 }),
  };
  full = (await measure(decoderOf(model), task, { memory, stage: '', emit() {} })).cell;
});
beforeEach(() => rmSync(own, { recursive: true, force: true }));
afterAll(async () => {
  model.close();
  other.close();
  await engine.dispose();
  rmSync(directory, { recursive: true, force: true });
});

const run = (
  emulator: Model,
  { emit = () => {}, checkUnchanged = () => {} }: { emit?: Emit; checkUnchanged?: () => void } = {},
) =>
  attack(
    engine,
    {
      ...{ emulator: { model: emulator, layout }, examples, task, full, own, memory, emit, checkUnchanged },
      ...{ madeFrom: { emulator: emulator === model ? 'exact' : 'other' }, hyperparameters: {} },
    },
    options,
  );

test('an exact emulator has half of the ability at once, one that knows nothing never; both beside the same control', async () => {
  const told: Record<string, string>[] = [];
  const emit: Emit = (event) => {
    if (event.type === 'progress')
      told.push(Object.fromEntries(event.metrics.map(({ name, value }) => [name, value])));
  };
  const exact = await run(model, { emit });
  expect(exact.points.map(({ tokens }) => tokens)).toEqual([0, 20, 40, 80]);
  expect(exact.points[0]!.emulator).toEqual(full);
  expect(exact.points[0]!.control.value).toBeGreaterThan(2 * full.value);
  expect(exact.reachedAt).toBe(0);
  // two runs of 80 tokens in steps of two rows of 9
  expect(told[0]).toEqual({ steps: '10', tokens: '160' });
  const nothing = await run(other);
  expect(nothing.reachedAt).toBeUndefined();
  expect(nothing.halfway).toBeGreaterThan(full.value);
  expect(nothing.points.every(({ emulator }) => emulator.value > nothing.halfway!)).toBe(true);
  // of a run that has ended the optimiser's state is gone
  const left = readdirSync(join(own, 'checkpoints')).flatMap((one) =>
    readdirSync(join(own, 'checkpoints', one)),
  );
  expect(left).toEqual(Array.from({ length: 4 }, () => 'ended.json'));
});

test('one that was stopped goes on to the same curve, and makes no run twice', async () => {
  const whole = await run(other);
  rmSync(own, { recursive: true });
  let saves = 0;
  const killed = () => {
    saves++;
    // the emulator's three budgets, then the control's first
    if (saves === 5) throw new Error('killed');
  };
  await expect(run(other, { checkUnchanged: killed })).rejects.toThrow('killed');
  expect(existsSync(join(own, 'checkpoints'))).toBe(true);
  let more = 0;
  expect(await run(other, { checkUnchanged: () => more++ })).toEqual(whole);
  expect(more).toBe(2);
  expect(await run(other, { checkUnchanged: () => more++ })).toEqual(whole);
  expect(more).toBe(2);
});

test('a budget is used up by the step that reaches it; rows are read again where they are too few', () => {
  const rows = [2, 3, 4].map((length, row) => ({
    ...{ row, branches: [], bytes: [] },
    trunk: Array.from({ length }, () => 1),
  }));
  expect(stopsOf(rows, { tokens: [1, 9, 10, 27], batchSize: 3, seed: 1 })).toEqual([1, 1, 2, 3]);
  // Of one by one the same as by whole epochs, whatever is left over of them.
  const budgets = Array.from({ length: 60 }, (_, i) => i + 1);
  const oneByOne = budgets.map((budget) => {
    let [done, step] = [0, 0];
    for (let epoch = 0; done < budget; epoch++) {
      const order = [...epochOrder(3, 7, epoch)];
      for (const places of [order.slice(0, 2), order.slice(2)]) {
        if (done >= budget) break;
        done += places.reduce((sum, place) => sum + place + 2, 0);
        step++;
      }
    }
    return step;
  });
  expect(stopsOf(rows, { tokens: budgets, batchSize: 2, seed: 7 })).toEqual(oneByOne);
  for (const budget of budgets)
    expect(stopsOf(rows, { tokens: [budget], batchSize: 2, seed: 7 })).toEqual([oneByOne[budget - 1]]);
  // And of 10^12 tokens nobody waits for each.
  expect(stopsOf(rows, { tokens: [9, 9 * 10 ** 12], batchSize: 1, seed: 1 })).toEqual([3, 3 * 10 ** 12]);
});

const cell = (value: number): Cell => ({ value, stderr: 0.1 });
const point = (tokens: number, emulator: number, control: number) => ({
  ...{ tokens, emulator: cell(emulator), control: cell(control) },
});

test('halfway is from the untuned control to the full model, of perplexities by their logarithm', () => {
  const accuracies = recoveryOf({
    ...{ metric: 'acc', samples: 100, full: cell(0.75) },
    points: [point(0, 0.3, 0.25), point(10, 0.45, 0.3), point(20, 0.5, 0.3)],
  });
  expect(accuracies).toMatchObject({ halfway: 0.5, reachedAt: 20 });
  const perplexities = recoveryOf({
    ...{ metric: 'perplexity', samples: 100, full: cell(10) },
    points: [point(0, 500, 1000), point(10, 90, 900)],
  });
  expect(perplexities.halfway).toBeCloseTo(100, 8);
  expect(perplexities.reachedAt).toBe(10);
  const none = recoveryOf({
    ...{ metric: 'acc', samples: 100, full: cell(0.25) },
    points: [point(0, 0.3, 0.25), point(10, 0.9, 0.2)],
  });
  expect(none).not.toHaveProperty('halfway');
  expect(none).not.toHaveProperty('reachedAt');
});
