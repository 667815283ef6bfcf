// Preference pairs and a sparse change against PyTorch (test/reference/preference.py): five AdamW steps on an emulator, where a prompt
// is computed once for both answers in several batches, and there by each answer alone.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { OffsiteTuneSpec } from '../../src/api/index.ts';
import { type Example, packStep, Random } from '../../src/data/index.ts';
import { Engine } from '../../src/engine/index.ts';
import { comparedWith, likelihoodsOf, measurementOf, packForModel } from '../../src/evaluation/index.ts';
import {
  Decoder,
  exactBlocks,
  type Model,
  openModel,
  weightsOf,
  withReplaced,
} from '../../src/model/index.ts';
import {
  crossEntropy,
  meanPairLoss,
  optimiserStep,
  pairObjective,
  SparseChange,
  type TrainingState,
} from '../../src/training/index.ts';
import { adapterOf } from '../../src/tuning/index.ts';
import { aimOf } from '../../src/tuning/objective.ts';
import { trainedLayer } from '../../src/tuning/trained.ts';
import { describedDifference, rms } from '../support/golden/families/compare.ts';
import { fixtureOf, type Tuned, writeCheckpoint } from '../support/golden/families/fixture.ts';
import { workDirectory } from '../support/golden/smollm2.ts';

interface Training extends Pick<Tuned, 'losses' | 'changes'> {
  objective: Record<string, string | number>;
  unchanged: number;
}
const reference = JSON.parse(
  readFileSync(new URL('../fixtures/preference.json', import.meta.url), 'utf8'),
) as {
  variant: string;
  rows: { prompt: number[]; chosen: number[]; rejected: number[] }[];
  trainings: Training[];
};

const memory = 2 ** 30;
const emit = () => {};
const work = workDirectory();
const fixture = fixtureOf(reference.variant);
let engine: Engine;
let model: Model;
beforeAll(async () => {
  engine = await Engine.create({ provider: 'cpu', threads: 1 });
  writeCheckpoint(join(work.path, 'model'), fixture);
  model = openModel(join(work.path, 'model'));
});
afterAll(async () => {
  model.close();
  await engine.dispose();
  work.remove();
});

const specOf = (objective: Training['objective']) => {
  const texts = Object.entries(objective).map(([name, value]) => [name, String(value)]);
  return { objective: Object.fromEntries(texts) } as Pick<OffsiteTuneSpec, 'objective'>;
};

test.each(reference.trainings)('five steps of $objective', async ({ objective, ...expected }) => {
  const { architecture } = model;
  const { source, transferLayers } = fixture.emulator!;
  const { pairs, l1, hasReference } = aimOf(specOf(objective));
  const examples = reference.rows.map(
    ({ prompt, chosen, rejected }, row): Example => ({
      ...{ row, trunk: prompt, branches: pairs === undefined ? [chosen] : [rejected, chosen] },
      ...{ answer: 0, bytes: [1, 1] },
    }),
  );
  const now = () => ({ seed: 0, step: 0 });
  const parts = new Map(
    transferLayers.map((layer) => [
      source.findIndex((from, at) => from === layer && at === layer),
      trainedLayer(model, layer, adapterOf({ type: 'layers' }), new Random(1), now),
    ]),
  );
  const tensors = [...parts.values()].flatMap((part) => part.tensors);
  const before = new Map(tensors.map(({ name, values }) => [name, values.slice()]));
  const state: TrainingState = {
    tensors,
    record: {
      ...{ step: 0, cursor: { epoch: 0, index: 0 }, tokens: 0, resumes: 0 },
      ...{ losses: [], evaluations: [], bestStep: 0 },
    },
  };
  const replaced = new Map([...parts].map(([place, { training }]) => [place, training]));
  const weights = weightsOf(model, { blocks: exactBlocks(architecture, source), memory });
  const decoder = new Decoder(engine, architecture, withReplaced(weights, replaced));
  const batches = packForModel(examples, architecture, { memory });
  const task = { name: 'pairs', metric: 'pair_acc' as const, examples, batches };
  const score = () => likelihoodsOf(decoder, task, { memory, stage: 'test', emit });
  const untrained = comparedWith(task, pairs === undefined ? [] : await score());
  const references = hasReference ? untrained.reference : undefined;
  const sparse = l1 > 0 ? new SparseChange(l1, tensors) : undefined;

  // one row a batch, so that the step's mean is over several
  const places = examples.map((_, i) => i);
  const stepBatches = packStep(examples, places, { capacity: 16, batch: 1 });
  expect(stepBatches.length).toBeGreaterThan(1);
  for (const [step, loss] of expected.losses.entries()) {
    if (pairs !== undefined)
      expect(Math.abs(meanPairLoss(await score(), pairs, references) - loss)).toBeLessThan(1e-3 * (1 + loss));
    const found = await optimiserStep(decoder, stepBatches, state, {
      ...{ parts, sparse, recompute: step % 2 === 1 },
      objective: pairs === undefined ? crossEntropy : pairObjective(pairs, references),
      ...{ learningRate: 1e-3, rateField: 'rate', clipNorm: 0 },
      adam: { betas: [0.9, 0.999], weightDecay: 0 },
    });
    expect(Math.abs(found - loss), `loss of step ${step}`).toBeLessThan(1e-3 * (1 + loss));
  }
  expect(tensors.map(({ name }) => name).toSorted()).toEqual(Object.keys(expected.changes).toSorted());
  for (const { name, values } of tensors) {
    const change = values.map((value, i) => value - before.get(name)![i]!);
    expect(describedDifference(change, expected.changes[name]!, { most: rms }), name).toBeLessThan(1e-2);
    tensors.find((tensor) => tensor.name === name)!.best.set(values);
  }
  if (sparse !== undefined)
    expect(Math.abs(sparse.unchangedShare(tensors) - expected.unchanged)).toBeLessThan(2e-3);
  // what was trained for prefers the chosen answers of these very rows more than before
  if (pairs !== undefined && objective['type'] !== 'orpo')
    expect(measurementOf(await score(), untrained).cell.value).toBe(1);
});
