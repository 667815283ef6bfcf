import { afterAll, beforeAll, expect, test } from 'vitest';
import { tokenize } from '../../src/data/index.ts';
import { Engine } from '../../src/engine/index.ts';
import { chosen } from '../../src/evaluation/cells.ts';
import { packForModel } from '../../src/evaluation/index.ts';
import { scoreRows } from '../../src/evaluation/score.ts';
import { Decoder, exactBlocks, type Model, openModel, weightsOf } from '../../src/model/index.ts';
import { fixture, type ReferencePlan, smollm2 } from '../support/golden/smollm2.ts';

interface Reference {
  rows: { question: string; choices: string[]; answer: number }[];
  ids: { prompt: number[]; choices: number[][] }[];
  plan: ReferencePlan;
  /** Summed log-likelihood of each row's choices. */
  full: number[][];
  emulator: number[][];
}

const reference = fixture<Reference>('zero-shot');
const options = { memory: 256 * 2 ** 20, stage: 'test', emit: () => {} };
/** Two choices this close are a tie that rounding may turn. */
const tie = 2e-3;
let engine: Engine;
let model: Model;

beforeAll(async () => {
  engine = await Engine.create({ provider: 'cpu', threads: 2 });
  model = openModel(smollm2);
});
afterAll(async () => {
  model.close();
  await engine.dispose();
});

test("prompt and choices have transformers' tokens", async () => {
  const examples = await tokenize(reference.rows, 'multipleChoice', model.tokenizer, {
    maxLength: 512,
    mode: 'score',
    file: 'rows',
  });
  expect(examples.map(({ trunk, branches }) => ({ prompt: trunk, choices: branches }))).toEqual(
    reference.ids,
  );
});

test.each([
  ['full model', 'full', undefined],
  ['emulator', 'emulator', reference.plan.source],
] as const)("the %s's scores and choices are those of transformers, row by row", async (_, cell, source) => {
  const examples = reference.ids.map(({ prompt, choices }, row) => ({
    row,
    trunk: prompt,
    branches: choices,
    bytes: [],
  }));
  const batches = packForModel(examples, model.architecture, { memory: 2 ** 30 });
  const weights = weightsOf(model, {
    memory: 2 ** 30,
    ...(source ? { blocks: exactBlocks(model.architecture, source) } : {}),
  });
  const scores = await scoreRows(new Decoder(engine, model.architecture, weights), batches, options);
  expect(scores).toHaveLength(reference.rows.length);
  for (const { row, logLikelihood } of scores) {
    const ours = logLikelihood.slice(1);
    const expected = reference[cell][row]!;
    expected.forEach((value, choice) => {
      expect(Math.abs(ours[choice]! - value) / Math.max(1, Math.abs(value)), `row ${row}`).toBeLessThan(1e-3);
    });
    const [best, second] = expected.toSorted((a, b) => b - a);
    if (best! - second! > tie) expect(chosen(ours), `row ${row}`).toBe(chosen(expected));
  }
});
