// Forward passes whose attention has no scores in memory: what transformers computes, in every family.
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { Engine } from '../../src/engine/index.ts';
import { BlockGraphs } from '../../src/model/block-graphs.ts';
import { Decoder, openModel, weightsOf } from '../../src/model/index.ts';
import { relative } from '../support/golden/families/compare.ts';
import { fixtureOf, unpacked, variants, writeCheckpoint } from '../support/golden/families/fixture.ts';
import { batchOf, logitsAt, memory, tokensOf } from '../support/golden/families/measure.ts';
import { workDirectory } from '../support/golden/smollm2.ts';

const work = workDirectory();
afterAll(work.remove);

test.each(variants())('%s: logits of a forward pass by tiles', async (variant) => {
  const path = join(work.path, variant);
  const fixture = fixtureOf(variant);
  writeCheckpoint(path, fixture);
  const model = openModel(path);
  const engine = await Engine.create({ provider: 'cpu', threads: 1 });
  const batch = batchOf(fixture);
  const weights = weightsOf(model, { memory });
  const logitsWith = async (mostScores?: number) => {
    const decoder = new Decoder(engine, model.architecture, weights, {
      ...(mostScores === 0 && { mostScores }),
    });
    let x = await decoder.embed(batch);
    for (const span of decoder.spans()) x = await decoder.forward(span, x, batch);
    return await logitsAt(decoder, x, tokensOf(fixture, batch));
  };
  const [tiled, whole] = [await logitsWith(0), await logitsWith()];
  expect(relative(tiled, unpacked(fixture.full.logits))).toBeLessThan(1e-3);
  expect(relative(tiled, whole)).toBeLessThan(1e-5);

  const graphs = new BlockGraphs(model.architecture, weights, 0);
  const operators = ({ operations }: { operations: { operator: string }[] }) =>
    operations.map((o) => o.operator);
  expect(operators(graphs.forward([0], batch))).toContain('GroupQueryAttention');
  expect(operators(graphs.forward([0], batch))).not.toContain('Softmax');
  // What trains keeps its scores: there is no gradient without them.
  expect(operators(graphs.split([0], batch, { weights: true }).forward)).toContain('Softmax');
  model.close();
  await engine.dispose();
});
