import { afterAll, beforeAll, expect, test } from 'vitest';
import { pack } from '../../src/data/index.ts';
import { Engine } from '../../src/engine/index.ts';
import { logits } from '../../src/model/head.ts';
import { Decoder, type Model, openModel, weightsOf } from '../../src/model/index.ts';
import { gradientStep } from '../../src/training/gradient-step.ts';
import { crossEntropy } from '../../src/training/objective.ts';
import { describedDifference, relative } from '../support/golden/families/compare.ts';
import { type Described, unpacked } from '../support/golden/families/fixture.ts';
import { fixture, smollm2 } from '../support/golden/smollm2.ts';
import { idsOf } from '../support/tiny/index.ts';

interface Reference {
  texts: string[];
  ids: number[][];
  /** How many of each text's last tokens, and every how manyth of the vocabulary. */
  tokens: number;
  step: number;
  logits: string;
  loss: number;
  /** Of every block's weights. */
  gradients: Record<string, Described>;
}

const reference = fixture<Reference>('logits');
const examples = reference.ids.map((trunk, row) => ({ row, trunk, branches: [], bytes: [] }));
/** All texts in one packed sequence: PyTorch computed each on its own. */
const batch = pack(examples, { capacity: 96, batch: 1 })[0]!;
let engine: Engine;
let model: Model;
let decoder: Decoder;

beforeAll(async () => {
  engine = await Engine.create({ provider: 'cpu', threads: 2 });
  model = openModel(smollm2);
  decoder = new Decoder(engine, model.architecture, weightsOf(model, { memory: 2 ** 30 }));
});
afterAll(async () => {
  model.close();
  await engine.dispose();
});

test("SmolLM2's logits are transformers' within 1e-3", async () => {
  expect(await idsOf(model.tokenizer, reference.texts)).toEqual(reference.ids);
  let x = await decoder.embed(batch);
  for (let position = 0; position < decoder.depth; position++)
    x = await decoder.forward([position], x, batch);
  const last = reference.ids.flatMap(({ length }, row) => {
    const end = batch.rows.lastIndexOf(row) + 1;
    return Array.from({ length: Math.min(length, reference.tokens) }, (_, i) => end - reference.tokens + i);
  });
  const targets = last.map((from) => ({ from, token: 0, row: 0, branch: 0 }));
  const found = await decoder.head(x, targets, logits);
  const sampled = found.filter((_, i) => (i % model.architecture.vocabulary) % reference.step === 0);
  expect(relative(sampled, unpacked(reference.logits))).toBeLessThan(1e-3);
});

test('its loss and the gradient of every weight of every block are those of PyTorch', async () => {
  const positions = Array.from({ length: decoder.depth }, (_, position) => position);
  const all = new Map(positions.map((position) => [position, true as const]));
  const { loss, gradients } = await gradientStep(decoder, [batch], all, {
    objective: crossEntropy,
    recompute: false,
  });
  expect(Math.abs(loss - reference.loss) / reference.loss).toBeLessThan(1e-4);
  const differences = positions.flatMap((position) =>
    Object.entries(model.architecture.block(position)).map(([slot, { name }]) => {
      return describedDifference(gradients.get(position)![slot]!, reference.gradients[name]!);
    }),
  );
  expect(differences).toHaveLength(Object.keys(reference.gradients).length);
  expect(Math.max(...differences)).toBeLessThan(1e-2);
});
