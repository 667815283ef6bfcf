import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { narrowed } from '../../src/emulator/compression/narrow.ts';
import { Engine } from '../../src/engine/index.ts';
import {
  type BlockShape,
  Decoder,
  type Kept,
  type Model,
  openModel,
  slotsIn,
  type WeightSource,
  weightsOf,
} from '../../src/model/index.ts';
import { adapterOf } from '../../src/tuning/index.ts';
import { relative } from '../support/golden/families/compare.ts';
import {
  type Fixture,
  type Tuned,
  uniform,
  unpacked,
  writeCheckpoint,
} from '../support/golden/families/fixture.ts';
import { batchOf, memory, tokensOf } from '../support/golden/families/measure.ts';
import { run, tuned } from '../support/golden/families/tuned.ts';
import { workDirectory } from '../support/golden/smollm2.ts';

/** Written by test/reference/families_narrow.py: zeros where a narrower block has nothing. */
interface Narrow extends Pick<Fixture, 'config' | 'dtype' | 'tensors' | 'rows'>, Tuned {
  /** Of the layers that do not train. */
  kept: Record<string, Kept>;
  emulator: { source: number[]; transferLayers: number[] };
  logits: string;
}

const fixtures = JSON.parse(
  readFileSync(new URL('../fixtures/families-narrow.json', import.meta.url), 'utf8'),
) as Record<string, Narrow>;
const work = workDirectory();
afterAll(work.remove);

/** The model's layers, some of them with fewer heads and channels, and biases behind these. */
function narrowEmulator(model: Model, kept: Narrow['kept']): WeightSource {
  const { architecture } = model;
  const overlay = new Map<string, Float32Array>();
  const blocks = Array.from({ length: architecture.depth }, (_, layer) => {
    const own = architecture.block(layer);
    const left = kept[layer];
    if (left === undefined) return { layer, name: String(layer), slots: own };
    const { heads, groups, inner } = left;
    const shape: BlockShape = {
      widths: { heads: heads.length, groups: groups.length, inner: inner.length },
      biases: ['output', 'down'].filter((slot) => !(`${slot}Bias` in own)),
    };
    const slots = slotsIn(architecture, layer, shape);
    const attention = architecture.widths.groups > 1 ? groups : heads;
    for (const [slot, values] of narrowed(model, layer, { attention, mlp: inner }))
      overlay.set(slots[slot]!.name, values);
    for (const slot of ['output', 'down']) {
      const bias = uniform(`${slot} of ${layer}`, architecture.hidden).map((value) => value / 4);
      overlay.set(slots[`${slot}Bias`]!.name, Float32Array.from(bias));
    }
    return { layer, name: String(layer), slots };
  });
  return weightsOf(model, { blocks, overlay, memory });
}

test.each(Object.entries(fixtures))(
  'an emulator of %s with narrower blocks computes and trains as with zeros in full ones',
  async (name, fixture) => {
    const path = join(work.path, name);
    writeCheckpoint(path, fixture);
    const model = openModel(path);
    const engine = await Engine.create({ provider: 'cpu', threads: 1 });
    const weights = narrowEmulator(model, fixture.kept);
    const batch = batchOf(fixture);
    const decoder = new Decoder(engine, model.architecture, weights);
    const logits = await run(decoder, batch, tokensOf(fixture, batch, 2));
    const layers = adapterOf({ type: 'layers' });
    const { losses, changes, plugIn } = await tuned(engine, model, fixture, layers, fixture, { weights });
    model.close();
    await engine.dispose();
    expect(relative(logits, unpacked(fixture.logits))).toBeLessThan(1e-3);
    expect(losses).toBeLessThan(1e-3);
    expect(changes).toBeLessThan(1e-2);
    expect(plugIn).toBeLessThan(1e-3);
  },
);
