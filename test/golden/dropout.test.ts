// What LoRA's dropout leaves out does not hang on how a step's rows are packed: the gradients are the same but for rounding.
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { pack, Random } from '../../src/data/index.ts';
import { Engine } from '../../src/engine/index.ts';
import { Decoder, openModel, weightsOf, withReplaced } from '../../src/model/index.ts';
import { gradientStep } from '../../src/training/gradient-step.ts';
import { crossEntropy } from '../../src/training/objective.ts';
import { adapterOf } from '../../src/tuning/index.ts';
import { trainedLayer } from '../../src/tuning/trained.ts';
import { relative } from '../support/golden/families/compare.ts';
import { fixtureOf, uniform, writeCheckpoint } from '../support/golden/families/fixture.ts';
import { workDirectory } from '../support/golden/smollm2.ts';

const work = workDirectory();
afterAll(work.remove);

test('gradients of a step with dropout, its rows in one sequence or each in its own', async () => {
  const path = join(work.path, 'llama');
  const fixture = fixtureOf('llama');
  writeCheckpoint(path, fixture);
  const model = openModel(path);
  const engine = await Engine.create({ provider: 'cpu', threads: 1 });
  const rows = fixture.rows.map((trunk, row) => ({ row, trunk, branches: [], bytes: [] }));
  const found = async (dropout: string, capacity: number, step: number) => {
    const now = () => ({ seed: 3, step });
    const part = trainedLayer(model, 1, adapterOf({ type: 'lora', dropout }), new Random(1), now);
    for (const { name, values } of part.tensors)
      values.set(uniform(name, values.length).map((value) => value / 10));
    part.training.update();
    const weights = withReplaced(weightsOf(model, { memory: 2 ** 30 }), new Map([[1, part.training]]));
    const batches = pack(rows, { capacity, batch: 1 });
    const { gradients } = await gradientStep(
      new Decoder(engine, model.architecture, weights),
      batches,
      new Map([[1, part.training.slots]]),
      { objective: crossEntropy, recompute: false },
    );
    return part.training.gradients(gradients.get(1)!);
  };
  const [together, apart] = [await found('0.4', 32, 5), await found('0.4', 16, 5)];
  const [later, none] = [await found('0.4', 32, 6), await found('0', 32, 5)];
  for (const [i, gradient] of together.entries()) {
    expect(relative(apart[i]!, gradient)).toBeLessThan(1e-4);
    expect(relative(later[i]!, gradient)).toBeGreaterThan(0.1);
    expect(relative(none[i]!, gradient)).toBeGreaterThan(0.1);
  }
  model.close();
  await engine.dispose();
});
