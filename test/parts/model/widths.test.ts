import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { OffsiteTuneSpec } from '../../../src/api/index.ts';
import { Random } from '../../../src/data/index.ts';
import { Engine } from '../../../src/engine/index.ts';
import { families } from '../../../src/model/families/index.ts';
import type { Architecture } from '../../../src/model/family.ts';
import {
  Decoder,
  type Model,
  openModel,
  type WeightSource,
  weightsOf,
  withReplaced,
} from '../../../src/model/index.ts';
import { axisOf, elementsOf, type Kept, type Widths } from '../../../src/model/widths.ts';
import { adapterOf } from '../../../src/tuning/index.ts';
import { type TrainedPart, trainedBeside } from '../../../src/tuning/trained.ts';
import { relative } from '../../support/golden/families/compare.ts';
import { fixtureOf, uniform, variants, writeCheckpoint } from '../../support/golden/families/fixture.ts';
import { batchOf } from '../../support/golden/families/measure.ts';

const work = mkdtempSync(join(tmpdir(), 'offsite-widths-'));
afterAll(() => rmSync(work, { recursive: true, force: true }));

/** All but the first group (with one alone: all but the first query head of it), and all but every third channel. */
function keptOf({ heads, groups, inner }: Widths): Kept {
  const perGroup = heads / groups;
  const from = (first: number, count: number) => Array.from({ length: count - first }, (_, i) => first + i);
  return {
    groups: groups > 1 ? from(1, groups) : [0],
    heads: from(groups > 1 ? perGroup : 1, heads),
    inner: from(0, inner).filter((channel) => channel % 3 > 0),
  };
}

const countsOf = ({ heads, groups, inner }: Kept): Widths => ({
  heads: heads.length,
  groups: groups.length,
  inner: inner.length,
});

/** Elements of a row-major tensor by their indices along an axis. */
function taken(values: Float32Array, shape: readonly number[], axis: number, indices: readonly number[]) {
  if (axis === 1) {
    const width = shape[1]!;
    const rows = Array.from({ length: shape[0]! }, (_, row) => row);
    return Float32Array.from(rows.flatMap((row) => indices.map((column) => values[row * width + column]!)));
  }
  const width = shape[1] ?? 1;
  return Float32Array.from(indices.flatMap((row) => [...values.subarray(row * width, (row + 1) * width)]));
}

const slotsOfCut = (slot: string, { side }: { side: 'to' | 'from' }) =>
  side === 'to' ? [slot, `${slot}Bias`] : [slot];

/** Every block narrower by the same units. */
function narrowed(source: WeightSource, architecture: Architecture, kept: Kept): WeightSource {
  const { widths, cuts, marks = {} } = architecture;
  return {
    ...source,
    slots: (position) => architecture.block(position, countsOf(kept)),
    block(position) {
      const whole: Record<string, Float32Array> = { ...source.block(position), ...marks };
      const slots = { ...architecture.block(position, widths), ...architecture.block(position) };
      for (const [slot, cut] of Object.entries(cuts))
        for (const name of slotsOfCut(slot, cut).filter((name) => whole[name] !== undefined)) {
          const own = slots[name] ?? { shape: [widths.heads] };
          whole[name] = taken(whole[name]!, own.shape, axisOf(cut, own), elementsOf(cut, widths, kept));
        }
      return whole;
    },
  };
}

/** The same in blocks of full width: what is left out reaches no consumer. */
function zeroed(source: WeightSource, { widths, cuts }: Architecture, kept: Kept): WeightSource {
  return {
    ...source,
    block(position) {
      const weights: Record<string, Float32Array> = { ...source.block(position) };
      for (const slot of ['output', 'down']) {
        const { shape, transposed } = source.slots(position)[slot]!;
        const stays = new Set(elementsOf(cuts[slot]!, widths, kept));
        const columns = shape[1]!;
        weights[slot] = weights[slot]!.map((value, i) =>
          stays.has(transposed ? Math.floor(i / columns) : i % columns) ? value : 0,
        );
      }
      return weights;
    },
  };
}

/** LoRA beside the maps of every narrower block, with values that are nowhere the same. */
function trainedIn(model: Model, kept: Kept, adapter: OffsiteTuneSpec['adapter']): Map<number, TrainedPart> {
  const shape = { widths: countsOf(kept), kept };
  const now = () => ({ seed: 0, step: 0 });
  const layers = Array.from({ length: model.architecture.depth }, (_, layer) => layer);
  return new Map(
    layers.map((layer) => {
      const part = trainedBeside(model, layer, adapterOf(adapter), new Random(layer), now, shape);
      for (const { name, values } of part.tensors)
        if (name.includes('lora_B')) values.set(uniform(name, values.length).map((value) => value / 4));
      part.training.update();
      return [layer, part];
    }),
  );
}

/** What was trained there, in the weights of full width. */
function changed(source: WeightSource, { architecture }: Model, parts: ReadonlyMap<number, TrainedPart>) {
  return {
    ...source,
    block(position: number) {
      const weights: Record<string, Float32Array> = { ...source.block(position) };
      const values = new Map(parts.get(position)!.tensors.map((tensor) => [tensor.name, tensor.values]));
      for (const { slot, tensors, weight } of adapterOf(lora).changes(architecture, position))
        weights[slot] = weight(
          tensors.map(({ name }) => values.get(name)!),
          weights[slot]!,
        );
      return weights;
    },
  };
}

const lora: OffsiteTuneSpec['adapter'] = { type: 'lora', rank: 2, alpha: 6 };

async function run(engine: Engine, model: Model, weights: WeightSource, variant: string) {
  const batch = batchOf(fixtureOf(variant));
  const decoder = new Decoder(engine, model.architecture, weights);
  let x = await decoder.embed(batch);
  for (let position = 0; position < decoder.depth; position++)
    x = await decoder.forward([position], x, batch);
  const { saved } = await decoder.forwardSaving([0], x, batch, { weights: true });
  const { dx } = await decoder.backward([0], x, saved, batch);
  return { x: await decoder.read(x), dx: await decoder.read(dx!) };
}

/** Fused and transposed maps, one key/value head, biases, slopes of heads beyond a power of two, norms behind. */
const unlike = [
  'phi3',
  'gpt2',
  'llama-one-key-head',
  'llama-biases',
  'bloom-six-heads',
  'opt-post-norm-projected',
];

describe('a narrower block', () => {
  it.each(variants())(
    'of %s has as many rows and columns as its heads, groups and channels take',
    (variant) => {
      const { config } = fixtureOf(variant);
      const [name] = config['architectures'] as [string];
      const family = families.find(({ architectures }) => architectures.includes(name))!;
      const architecture = family.parse(config, () => false);
      const { widths, cuts, marks = {} } = architecture;
      expect(architecture.block(1, {})).toEqual(architecture.block(1));
      const kept = keptOf(widths);
      for (const counts of [widths, countsOf(kept)]) {
        const slots = architecture.block(1, counts);
        for (const [slot, own] of Object.entries(slots)) {
          const cut = cuts[slot] ?? cuts[slot.replace(/Bias$/, '')];
          const expected = [...(architecture.block(1)[slot]?.shape ?? [marks[slot]!.length])];
          if (cut !== undefined && (cut.side === 'to' || !slot.endsWith('Bias')))
            expected[axisOf(cut, own)] = cut.runs.reduce((sum, { of, size }) => sum + counts[of] * size, 0);
          expect(own.shape, slot).toEqual(expected);
        }
      }
    },
  );

  it.each(unlike)('of %s runs as the full one does where nothing takes what is left out', async (variant) => {
    const path = join(work, variant);
    writeCheckpoint(path, fixtureOf(variant));
    const model = openModel(path);
    const source = weightsOf(model, { memory: 1 << 26 });
    const engine = await Engine.create({ provider: 'cpu', threads: 1 });
    const { architecture } = model;
    const kept = keptOf(architecture.widths);
    const found = await run(engine, model, narrowed(source, architecture, kept), variant);
    const expected = await run(engine, model, zeroed(source, architecture, kept), variant);
    expect(relative(found.x, expected.x)).toBeLessThan(1e-5);
    expect(relative(found.dx, expected.dx)).toBeLessThan(1e-4);
    model.close();
    await engine.dispose();
  });

  it.each(unlike)('of %s runs LoRA beside its maps as the full one does in its weights', async (variant) => {
    const path = join(work, `${variant}-lora`);
    writeCheckpoint(path, fixtureOf(variant));
    const model = openModel(path);
    const source = weightsOf(model, { memory: 1 << 26 });
    const engine = await Engine.create({ provider: 'cpu', threads: 1 });
    const { architecture } = model;
    const kept = keptOf(architecture.widths);
    const narrow = narrowed(source, architecture, kept);
    const inside = (parts: ReadonlyMap<number, TrainedPart>) =>
      withReplaced(narrow, new Map([...parts].map(([site, { training }]) => [site, training])));
    const parts = trainedIn(model, kept, lora);
    const found = await run(engine, model, inside(parts), variant);
    const full = changed(zeroed(source, architecture, kept), model, parts);
    const expected = await run(engine, model, full, variant);
    expect(relative(found.x, expected.x)).toBeLessThan(1e-5);
    expect(relative(found.dx, expected.dx)).toBeLessThan(1e-4);
    expect(relative((await run(engine, model, narrow, variant)).x, expected.x)).toBeGreaterThan(1e-2);

    // A dropout that leaves out next to nothing is none.
    const dropped = trainedIn(model, kept, { ...lora, dropout: '0.0000001' });
    expect(relative((await run(engine, model, inside(dropped), variant)).x, expected.x)).toBeLessThan(1e-5);
    model.close();
    await engine.dispose();
  });
});
