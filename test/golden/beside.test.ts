// LoRA beside layers that are held as factors, for every family: an emulator's logits, five steps on every kept layer of it, and
// what is plugged in, against PEFT on the factors multiplied out (test/reference/families_beside.py).
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hashFiles } from '../../src/artifact/index.ts';
import { Random } from '../../src/data/index.ts';
import { openBlocks } from '../../src/emulator/bundle.ts';
import { emulatorWeights } from '../../src/emulator/index.ts';
import { type Layout, layoutOf } from '../../src/emulator/plan/layout.ts';
import { Engine } from '../../src/engine/index.ts';
import {
  type BlockShape,
  Decoder,
  linearMaps,
  type Model,
  openModel,
  type Slots,
  withReplaced,
} from '../../src/model/index.ts';
import { gradientStep } from '../../src/training/gradient-step.ts';
import { crossEntropy } from '../../src/training/objective.ts';
import { adapterOf } from '../../src/tuning/index.ts';
import { trainedBeside } from '../../src/tuning/trained.ts';
import { relative } from '../support/golden/families/compare.ts';
import {
  type Fixture,
  fixtureOf,
  type Tuned,
  uniform,
  unpacked,
  writeCheckpoint,
} from '../support/golden/families/fixture.ts';
import { batchOf, memory, tokensOf } from '../support/golden/families/measure.ts';
import { run, tuned } from '../support/golden/families/tuned.ts';
import { workDirectory } from '../support/golden/smollm2.ts';

type Lora = Tuned & { rank: number; alpha: number };
interface Beside {
  /** The factors and biases of the kept layers. */
  tensors: Fixture['tensors'];
  logits: string;
  lora: Lora;
  dropout: Lora & { rate: number; seed: number };
}
const references = JSON.parse(
  readFileSync(new URL('../fixtures/families-beside.json', import.meta.url), 'utf8'),
) as Record<string, Beside>;

const work = workDirectory();
afterAll(work.remove);

/** The shape of a block whose factors and biases are among the tensors. */
function shapeOf(slots: Slots, tensors: Beside['tensors']): BlockShape {
  const shapes = new Map(tensors.map(([name, shape]) => [name, shape]));
  const maps: Record<string, { is: 'factors'; rank: number }> = {};
  const biases: string[] = [];
  for (const [slot, { name }] of linearMaps(slots)) {
    const path = name.replace(/\.weight$/, '');
    maps[slot] = { is: 'factors', rank: shapes.get(`${path}.left.weight`)![1]! };
    if (shapes.has(`${path}.bias`)) biases.push(slot);
  }
  return { maps, biases };
}

describe.each(Object.keys(references))('%s', (variant) => {
  const fixture = fixtureOf(variant);
  const reference = references[variant]!;
  const { source } = fixture.emulator!;
  const kept = [...new Set(source)].sort((a, b) => a - b);
  let engine: Engine;
  let full: Model;
  let bundle: { model: Model; layout: Layout };
  beforeAll(async () => {
    engine = await Engine.create({ provider: 'cpu', threads: 1 });
    writeCheckpoint(join(work.path, variant), fixture);
    full = openModel(join(work.path, variant));
    const plan = { clusters: [source.map((_, i) => i)], kept, transferLayers: [], source };
    const shapes = kept.map(
      (layer) => [layer, shapeOf(full.architecture.block(layer), reference.tensors)] as const,
    );
    const layout = layoutOf(plan, new Map(shapes));
    const directory = join(work.path, `${variant}-bundle`);
    writeCheckpoint(directory, { ...fixture, tensors: [...fixture.tensors, ...reference.tensors] });
    bundle = { model: openBlocks(directory, layout, hashFiles(directory).files), layout };
  });
  afterAll(async () => {
    full.close();
    bundle.model.close();
    await engine.dispose();
  });

  test('logits, five steps beside the factors with and without dropout, and the plug-in are those of PEFT', async () => {
    const { lora, dropout, logits } = reference;
    const { rank, alpha } = lora;
    const batch = batchOf(fixture);
    const weights = emulatorWeights(bundle, { memory });
    const decoder = new Decoder(engine, bundle.model.architecture, weights);
    const found = await run(decoder, batch, tokensOf(fixture, batch, 2));
    expect(relative(found, unpacked(logits))).toBeLessThan(1e-3);

    const dropped = adapterOf({ type: 'lora', rank, alpha, dropout: String(dropout.rate) });
    for (const { losses, changes, plugIn } of [
      await tuned(engine, full, fixture, adapterOf({ type: 'lora', rank, alpha }), lora, {
        ...{ beside: true, layers: kept, weights },
      }),
      await tuned(engine, full, fixture, dropped, dropout, {
        ...{ beside: true, layers: kept, weights, seed: dropout.seed },
      }),
    ]) {
      expect(losses).toBeLessThan(1e-3);
      expect(changes).toBeLessThan(1e-2);
      expect(plugIn).toBeLessThan(1e-3);
    }
  });

  test('the gradient of every factor is the slope of the loss', async () => {
    const layer = kept.at(-1)!;
    const position = source.indexOf(layer);
    const kind = adapterOf({ type: 'lora', rank: 2, alpha: 6 });
    const part = trainedBeside(full, layer, kind, new Random(1), () => ({ seed: 0, step: 0 }));
    for (const { name, values } of part.tensors)
      values.set(uniform(name, values.length).map((value) => value / 4));
    const weights = withReplaced(emulatorWeights(bundle, { memory }), new Map([[position, part.training]]));
    const decoder = new Decoder(engine, full.architecture, weights);
    const step = () =>
      gradientStep(decoder, [batchOf(fixture)], new Map([[position, part.training.slots]]), {
        ...{ objective: crossEntropy, recompute: false },
      });
    part.training.update();
    const found = part.training.gradients((await step()).gradients.get(position)!);
    for (const [i, { values }] of part.tensors.entries()) {
      const before = values.slice();
      const norm = Math.hypot(...found[i]!);
      const lossAt = async (distance: number) => {
        values.set(before.map((value, j) => value + (distance / norm) * found[i]![j]!));
        part.training.update();
        return (await step()).loss;
      };
      const distance = 0.005;
      const slope = ((await lossAt(distance)) - (await lossAt(-distance))) / (2 * distance);
      values.set(before);
      part.training.update();
      expect(Math.abs(slope - norm)).toBeLessThan(2e-2 * norm + 5e-4);
    }
  });
});
