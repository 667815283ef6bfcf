// DP-SGD against PyTorch: gradients row by row, clipping over all that is trained, given noise, AdamW.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Example, pack, Random } from '../../src/data/index.ts';
import { Engine } from '../../src/engine/index.ts';
import { likelihoodsOf } from '../../src/evaluation/index.ts';
import {
  Decoder,
  exactBlocks,
  headGradient,
  type Model,
  openModel,
  type Site,
  type WeightSource,
  weightsOf,
  withReplaced,
} from '../../src/model/index.ts';
import { crossEntropy, optimiserStep, type TrainingState } from '../../src/training/index.ts';
import { adapterOf } from '../../src/tuning/index.ts';
import { type TrainedPart, trainedBeside, trainedHead, trainedLayer } from '../../src/tuning/trained.ts';
import { describedDifference, rms } from '../support/golden/families/compare.ts';
import { type Described, fixtureOf, uniform, writeCheckpoint } from '../support/golden/families/fixture.ts';
import { workDirectory } from '../support/golden/smollm2.ts';

/** Written by test/reference/dp_sgd.py. */
interface Reference {
  rows: number[][];
  /** Rows of each step; one has none. */
  drawn: number[][];
  expectedRows: number;
  clipNorm: number;
  noiseMultiplier: number;
  learningRate: number;
  rank: number;
  alpha: number;
  lora: Found;
  head: Found;
}

interface Found {
  /** Mean loss of a step's rows. */
  losses: (number | null)[];
  /** Of each row's gradient, before it is clipped. */
  norms: number[];
  clipped: number;
  changes: Record<string, Described & { noise: number }>;
}

const reference = JSON.parse(
  readFileSync(new URL('../fixtures/dp-sgd.json', import.meta.url), 'utf8'),
) as Reference;
const memory = 2 ** 30;
const work = workDirectory();
const fixture = fixtureOf('llama');
let engine: Engine;
let model: Model;

beforeAll(async () => {
  writeCheckpoint(join(work.path, 'llama'), fixture);
  model = openModel(join(work.path, 'llama'));
  engine = await Engine.create({ provider: 'cpu', threads: 1 });
});
afterAll(async () => {
  model.close();
  await engine.dispose();
  work.remove();
});

/** Steps on the emulator of the fixture, whose layers train by LoRA. */
function started(options: { head?: boolean; beside?: boolean; overflowsAt?: number } = {}) {
  const { architecture } = model;
  const { source, transferLayers } = fixture.emulator!;
  const { rank, alpha } = reference;
  const kind = adapterOf({ type: 'lora', rank, alpha, ...(options.head && { head: true }) });
  const make = options.beside ? trainedBeside : trainedLayer;
  const now = () => ({ seed: 1, step: 0 });
  const parts = new Map<Site, TrainedPart>(
    transferLayers.map((layer) => [
      source.findIndex((from, at) => from === layer && at === layer),
      make(model, layer, kind, new Random(1), now),
    ]),
  );
  for (const { tensors, training } of parts.values()) {
    for (const { name, shape, values } of tensors)
      if (name.includes('.lora_A.'))
        values.set(uniform(name, values.length).map((value) => value / Math.sqrt(shape[1]!)));
    training.update();
  }
  if (kind.head) parts.set('head', trainedHead(model, kind.head, new Random(1)));
  const tensors = [...parts.values()].flatMap((part) => part.tensors);
  const record = { step: 0, cursor: { epoch: 0, index: 0 }, tokens: 0, resumes: 0 };
  const state: TrainingState = {
    tensors,
    record: { ...record, losses: [], evaluations: [], bestStep: 0 },
  };
  const own = weightsOf(model, { blocks: exactBlocks(architecture, source), memory });
  const weights: WeightSource = {
    ...own,
    embed(ids) {
      const hidden = own.embed(ids);
      const width = hidden.length / ids.length;
      ids.forEach((id, i) => {
        if (id === options.overflowsAt) hidden.fill(Number.POSITIVE_INFINITY, i * width, (i + 1) * width);
      });
      return hidden;
    },
  };
  const replaced = new Map([...parts].map(([place, { training }]) => [place, training]));
  const decoder = new Decoder(engine, architecture, withReplaced(weights, replaced));
  const head = kind.head && { head: headGradient(parts.get('head')!.tensors[0]!.values.length) };
  const { expectedRows, clipNorm, noiseMultiplier, learningRate } = reference;
  const step = (places: readonly number[], changed: { clipNorm?: number; deviation?: number } = {}) =>
    optimiserStep(decoder, places.flatMap(rowAlone), state, {
      ...{ parts, objective: crossEntropy, recompute: false, ...head },
      ...{ learningRate, rateField: 'rate', clipNorm: 1e-3, adam: { betas: [0.9, 0.999], weightDecay: 0 } },
      hidden: {
        ...{ clipNorm, expectedRows, deviation: noiseMultiplier * clipNorm, ...changed },
        normal(tensor, at) {
          const { length } = tensors.find(({ name }) => name === tensor)!.values;
          const values = uniform(`noise ${at} ${nameOf(tensor)}`, length);
          let next = 0;
          return () => values[next++]!;
        },
      },
    });
  return { state, step, decoder };
}

const rowAlone = (place: number) => {
  const example: Example = { row: place, trunk: reference.rows[place]!, branches: [], bytes: [] };
  return pack([example], { capacity: 32, batch: 1 });
};

/** As PEFT calls it. */
const nameOf = (tensor: string) => (tensor === 'lm_head.weight' ? 'base_model.model.lm_head.weight' : tensor);

test.each([
  ['lora', {}],
  ['lora', { beside: true }],
  ['head', { head: true }],
] as const)('five steps of %s, %j: some rows clipped, one step without rows', async (name, options) => {
  const expected = reference[name];
  const { state, step } = started(options);
  const before = state.tensors.map(({ values }) => values.slice());
  for (const drawn of reference.drawn) await step(drawn);
  const { losses, rows, step: done } = state.record;
  expect(done).toBe(5);
  expect(rows).toEqual({ taken: expected.norms.length, clipped: expected.clipped });
  expect(expected.clipped).toBeGreaterThan(0);
  expect(expected.clipped).toBeLessThan(expected.norms.length);
  expected.losses.forEach((loss, i) => {
    if (loss === null) expect(losses[i]).toBeNaN();
    else expect(losses[i]).toBeCloseTo(loss, 4);
  });
  const names = state.tensors.map((tensor) => nameOf(tensor.name));
  expect(names.toSorted()).toEqual(Object.keys(expected.changes).toSorted());
  for (const [i, { values }] of state.tensors.entries()) {
    const { noise, ...change } = expected.changes[names[i]!]!;
    const found = values.map((value, at) => value - before[i]![at]!);
    expect(describedDifference(found, change, { most: rms }), names[i]).toBeLessThan(1e-3 + 2 * noise);
  }
});

test("a row moves the sum by at most clipNorm over all tensors: AdamW's first moment says by how much", async () => {
  const clipNorm = 0.01;
  const moved = async (places: readonly number[]) => {
    const { state, step } = started({ head: true });
    await step(places, { clipNorm, deviation: 0 });
    // first = (1 - 0.9) sum / expectedRows
    return state.tensors.map(({ first }) => first.map((value) => value * 10 * reference.expectedRows));
  };
  const [without, with_] = [await moved([0, 1]), await moved([0, 1, 3])];
  const squares = with_.flatMap((tensor, i) =>
    [...tensor].map((value, at) => (value - without[i]![at]!) ** 2),
  );
  const norm = Math.sqrt(squares.reduce((sum, square) => sum + square, 0));
  // The row's own gradient is far longer: it is clipped to just that.
  expect(norm).toBeGreaterThan(0.999 * clipNorm);
  expect(norm).toBeLessThan(1.001 * clipNorm);
});

test('an emulator that overflows on one row: the training is the one without it, under the same noise, and only its owner knows', async () => {
  const others = new Set([0, 1].flatMap((place) => reference.rows[place]!));
  const overflowsAt = reference.rows[3]!.find((token) => !others.has(token))!;
  const trained = async (steps: readonly (readonly number[])[]) => {
    const { state, step } = started({ head: true, overflowsAt });
    for (const places of steps) await step(places);
    const { rows, losses } = state.record;
    return { rows, losses, values: state.tensors.map(({ values }) => values) };
  };
  const without = await trained([[0, 1], [], [1]]);
  const overflown = await trained([[0, 3, 1], [3], [3, 1]]);
  expect(without.rows).toEqual({ taken: 3, clipped: expect.any(Number) as number });
  expect(overflown).toEqual({ ...without, rows: { ...without.rows, taken: 6, notFinite: 3 } });

  // Nor does scoring end with it, where rows are hidden.
  const { decoder } = started({ overflowsAt });
  const batches = [0, 3, 1].flatMap(rowAlone);
  const options = { memory, stage: 'score', emit: () => {} };
  const scored = (takesNaN: boolean) =>
    likelihoodsOf(decoder, { batches, metric: 'perplexity' }, { ...options, takesNaN });
  await expect(scored(false)).rejects.toMatchObject({ reason: 'BadModel' });
  const all = await scored(true);
  expect(Array.from(all, ({ row, logLikelihood: [trunk] }) => [row, Number.isNaN(trunk)])).toEqual([
    [0, false],
    [1, false],
    [3, true],
  ]);
});
