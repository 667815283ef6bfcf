import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { peekManifest } from '../../src/artifact/index.ts';
import { writeObservations } from '../../src/emulator/observe/files.ts';
import type { ObservationName } from '../../src/emulator/observe/observations.ts';
import { openObservations } from '../../src/emulator/observe/open.ts';
import { ObservingPassage } from '../../src/emulator/observe/pass.ts';
import { type BuildInput, probed, probeKey, runProbe } from '../../src/emulator/probe/stage.ts';
import { Engine } from '../../src/engine/index.ts';
import { streamBlocks } from '../../src/evaluation/index.ts';
import { Decoder, linearMaps, openModel, weightsOf } from '../../src/model/index.ts';
import { describedDifference } from '../support/golden/families/compare.ts';
import { type Described, fixtureOf, writeCheckpoint } from '../support/golden/families/fixture.ts';
import { batchOf, memory } from '../support/golden/families/measure.ts';
import { workDirectory, writeRows } from '../support/golden/smollm2.ts';
import { writeTinyModel } from '../support/tiny/index.ts';

/** What test/reference/observations.py found with transformers, in float64, by the map's tensor. */
interface Reference {
  influence: number[];
  maps: Record<string, Record<'mean' | 'second' | 'outputs' | 'weight', Described>>;
}

const file = new URL('../fixtures/observations.json', import.meta.url);
const references = JSON.parse(readFileSync(file, 'utf8')) as Record<string, Reference>;
const work = workDirectory();
afterAll(work.remove);

describe.each(Object.entries(references))('%s', (variant, reference) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await Engine.create({ provider: 'cpu', threads: 1 });
  });
  afterAll(async () => engine.dispose());

  test('moments of every map, its gradients and block influence are those of transformers', async () => {
    const fixture = fixtureOf(variant);
    const path = join(work.path, variant);
    writeCheckpoint(path, fixture);
    const model = openModel(path);
    const decoder = new Decoder(engine, model.architecture, weightsOf(model, { memory }));
    const directory = join(work.path, `${variant}-observed`);
    const observed = 'gradients';
    const rows = { model: '', tokenizer: '', data: '', format: 'text', samples: 2, maxLength: 32 };
    const progress = () => {};
    await writeObservations(directory, { ...rows, observed }, async (temporary) => {
      const passage = new ObservingPassage(decoder, { observed, directory: temporary, whole: 1, progress });
      await streamBlocks(decoder, [batchOf(fixture)], { memory, progress, passage });
    });

    const found = openObservations(directory);
    found.influence.forEach((value, layer) => {
      expect(value).toBeCloseTo(reference.influence[layer]!, 5);
    });
    const seen = new Set<string>();
    for (let layer = 0; layer < decoder.depth; layer++)
      for (const [slot, { name }] of linearMaps(model.architecture.block(layer))) {
        const { tokens, mean, second } = found.inputs(layer, slot);
        const { outputs, weight } = found.gradients(layer, slot);
        expect(tokens).toBe(fixture.rows.flat().length);
        for (const [quantity, values] of Object.entries({ mean, second, outputs, weight })) {
          const expected = reference.maps[name]![quantity as keyof Reference['maps'][string]];
          const difference = describedDifference(Float32Array.from(values), expected);
          expect(difference, `${name} ${quantity}`).toBeLessThan(1e-3);
        }
        seen.add(name);
      }
    expect([...seen].sort()).toEqual(Object.keys(reference.maps).sort());
    model.close();
  });
});

describe('the stages', () => {
  const tiny = join(work.path, 'tiny');
  const data = { path: join(work.path, 'rows.jsonl'), format: 'text' as const };
  const emit = () => {};
  let engine: Engine;
  beforeAll(async () => {
    writeTinyModel(tiny, { layers: 2, hidden: 16, intermediate: 24 });
    writeRows(
      data.path,
      Array.from({ length: 5 }, (_, i) => ({ text: 'a b c d e f '.repeat(1 + i) })),
    );
    engine = await Engine.create({ provider: 'cpu', threads: 1 });
  });
  afterAll(async () => engine.dispose());

  const inputOf = (name: string, observe: ObservationName[], shards = 1): BuildInput => ({
    ...{
      model: tiny,
      data,
      observe,
      emit,
      memory,
      work: join(work.path, name),
      output: join(work.path, 'none'),
    },
    probe: { samples: 5, maxLength: 128, pooling: 'mean', skipFirst: false, shards },
  });
  async function build(input: BuildInput) {
    const model = openModel(tiny);
    const { observations } = await probed(engine, model, probeKey(engine, model, input), input);
    model.close();
    return observations!;
  }
  const digestOf = (directory: string) => peekManifest(directory)!.digest;

  test('what was computed in half precision is other work than what was computed in float32', async () => {
    const input = inputOf('halves', ['inputs']);
    const halves = await Engine.create({
      ...{ provider: 'cpu', threads: 1 },
      ...{ standsFor: 'cuda', precision: 'bfloat16' },
    });
    const [inFloat, inHalf] = [await runProbe(engine, input), await runProbe(halves, input)];
    await halves.dispose();
    expect(inHalf).toMatchObject({ reused: false });
    expect(inHalf.directory).not.toBe(inFloat.directory);
    const found = readdirSync(input.work).map((name) => peekManifest(join(input.work, name))?.manifest);
    const said = found.map((manifest) => `${manifest?.kind} ${manifest?.hyperparameters['precision']}`);
    expect(said.sort()).toEqual(
      ['Observations', 'PooledStates'].flatMap((kind) => [`${kind} bfloat16`, `${kind} undefined`]),
    );
  });

  test('observe with the probe: by shards or alone the same artifacts, and what is there is not computed again', async () => {
    const sharded = inputOf('sharded', ['inputs'], 2);
    for (const index of [1, 0]) expect((await runProbe(engine, sharded, index)).reused).toBe(false);
    expect((await runProbe(engine, sharded, 1)).reused).toBe(true);
    const joined = await build(sharded);
    expect(digestOf(joined)).toBe(digestOf(await build(inputOf('alone', ['influence', 'inputs']))));
    // No shard and nothing hidden is left.
    expect(readdirSync(sharded.work)).toHaveLength(2);

    // What has more serves who asks for less, and another pooling takes the same.
    expect((await runProbe(engine, inputOf('sharded', ['influence']))).reused).toBe(true);
    const other = inputOf('sharded', ['inputs']);
    await runProbe(engine, { ...other, probe: { ...other.probe, pooling: 'last' } });
    expect(readdirSync(sharded.work)).toHaveLength(3);

    // One shard is lost, or another one's work was never there: the stage `assemble` computes it alone.
    const lost = inputOf('lost', ['inputs'], 2);
    await runProbe(engine, lost, 0);
    expect(digestOf(await build(lost))).toBe(digestOf(joined));
    expect(readdirSync(lost.work)).toHaveLength(2);
  });
});
