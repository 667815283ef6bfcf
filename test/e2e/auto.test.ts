// A build that finds its own way, on a tiny model that has learnt its probe's rows: what it chooses, and that it is the explicit build.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type AutoFound, type EmulatorBuildSpec, parseResource, wayOf } from '../../src/api/index.ts';
import { inPlace, type Keeper, peekManifest } from '../../src/artifact/index.ts';
import { openCheckpoint } from '../../src/checkpoint/index.ts';
import { nestedFactors } from '../../src/emulator/auto/factors.ts';
import { type AssembleInput, assemble, type Found, planOptions, runProbe } from '../../src/emulator/index.ts';
import { openObservations } from '../../src/emulator/observe/open.ts';
import { probeKey } from '../../src/emulator/probe/stage.ts';
import { Engine } from '../../src/engine/index.ts';
import { openModel, slotsIn } from '../../src/model/index.ts';
import { workDirectory } from '../support/golden/smollm2.ts';
import { digestIn, offsite, savedStatus } from '../support/offsite/index.ts';
import { setField, tinyManifests, writeManifests, writeTinyProject } from '../support/tiny/index.ts';

const work = workDirectory();
const at = (...parts: string[]) => join(work.path, ...parts);
let engine: Engine;
let first: Awaited<ReturnType<typeof assemble>> & { auto: Found };

const budgets = { leakAtMost: 0.9, sizeAtMost: 0.72 };
const auto = { ...budgets, sharing: 'none', transferLayers: undefined, compressedOnly: false } as const;

const input = (name: string, change: Partial<AssembleInput> = {}): AssembleInput => ({
  model: at('out/model'),
  data: { path: at('data', 'probe.jsonl'), format: 'text' },
  probe: { samples: 16, maxLength: 64, pooling: 'mean', skipFirst: false, shards: 1 },
  similarity: { metric: 'linearCKA' },
  observe: ['inputs'],
  limit: 0,
  output: at('bundles', name),
  work: at('work', name),
  own: at('own', name),
  memory: 2 ** 28,
  emit: () => {},
  ...change,
});

const found = async (name: string, change: Partial<AssembleInput> = {}) => {
  const made = await assemble(engine, input(name, { auto, ...change }));
  return made as typeof made & { auto: Found };
};

beforeAll(async () => {
  writeTinyProject(work.path);
  const { build, tune, plug } = tinyManifests();
  for (const [field, value] of Object.entries({
    strategy: 'none',
    layers: undefined,
    transferLayers: { count: 5 },
  }))
    setField(build, `spec.${field}`, value);
  setField(tune, 'spec.data', { uri: 'file:data/probe.jsonl', format: 'text' });
  setField(tune, 'spec.training', { steps: 30, batchSize: 8, learningRate: '1e-2', maxLength: 64 });
  setField(plug, 'spec.evaluation', undefined);
  for (const one of [build, tune, plug]) setField(one, 'spec.engine', { threads: 1 });
  writeManifests(at('learn.yaml'), [build, tune, plug]);
  const learnt = await offsite(['run', '-f', at('learn.yaml'), '--work-dir', at('learning')]);
  expect(learnt.code, learnt.stderr).toBe(0);
  engine = await Engine.create({ provider: 'cpu', threads: 1 });
  first = await found('first');
});
afterAll(async () => {
  await engine?.dispose();
  work.remove();
});

/** What is kept of candidates' figures, by file. */
const keptFiles = (name: string): [file: string, figures: object][] =>
  existsSync(at('work', name))
    ? readdirSync(at('work', name))
        .filter((file) => file.endsWith('.auto.json'))
        .map((file) => [file, JSON.parse(readFileSync(at('work', name, file), 'utf8')) as object])
    : [];

test('within the budgets the way is chosen whose gradient agrees most', () => {
  const { candidates, way, rows } = first.auto;
  expect(rows).toBeGreaterThan(1);
  const fitting = candidates.filter(({ verdict }) => verdict === 'fits' || verdict === 'chosen');
  for (const { figures, sizeShare } of fitting) {
    expect(figures!.bitsKept.value).toBeLessThanOrEqual(budgets.leakAtMost);
    expect(sizeShare).toBeLessThanOrEqual(budgets.sizeAtMost);
  }
  const best = Math.max(...fitting.map(({ figures }) => figures!.agreement));
  const chosen = candidates.filter(({ verdict }) => verdict === 'chosen');
  expect(chosen).toEqual([
    expect.objectContaining({ way, figures: expect.objectContaining({ agreement: best }) }),
  ]);
  expect(first.auto.reason).toContain(`(cosine ${best.toFixed(2)})`);
});

test('the bundle is that of the spec that says the same, with the size and the exact share that were told', async () => {
  const { way, candidates } = first.auto;
  const plan = planOptions(way, 'none');
  const said = await assemble(engine, input('said', { plan, compression: way.compression }));
  expect(said.artifact.digest).toBe(first.artifact.digest);
  const { exactParameterShare, sizeShare } = candidates.find(({ verdict }) => verdict === 'chosen')!;
  expect(said.exactShare.parameters).toBeCloseTo(exactParameterShare, 12);
  const bytes = (directory: string) => {
    const model = openCheckpoint(at(directory, 'model.safetensors'));
    const sum = [...model.tensors.values()].reduce(
      (total, { shape }) => total + shape.reduce((a, b) => a * b, 1),
      0,
    );
    model.close();
    return sum;
  };
  expect(bytes('bundles/said') / bytes('out/model')).toBeCloseTo(sizeShare, 12);
});

test('offsite run makes it, and its status says of what it was chosen, and the same as a spec', async () => {
  const { build } = tinyManifests();
  const asked = { leakAtMost: String(budgets.leakAtMost), sizeAtMost: String(budgets.sizeAtMost) };
  const fields = {
    model: { uri: 'file:out/model' },
    layers: undefined,
    transferLayers: undefined,
    sharing: 'none',
  };
  for (const [field, value] of Object.entries({ ...fields, auto: asked, evaluation: { limit: 0 } }))
    setField(build, `spec.${field}`, value);
  setField(build, 'metadata.name', 'found');
  setField(build, 'spec.engine', { threads: 1 });
  setField(build, 'spec.output.uri', 'file:bundles/found');
  writeManifests(at('found.yaml'), [build]);
  const ran = await offsite(['run', '-f', at('found.yaml'), '--work-dir', at('finding')]);
  expect(ran.code, ran.stderr).toBe(0);
  expect(digestIn(at('bundles/found'))).toBe(first.artifact.digest);
  const { auto: told } = savedStatus(at('finding'), 'EmulatorBuild', 'found') as unknown as {
    auto: AutoFound;
  };
  expect(told.chosen).toEqual(first.auto.way);
  expect(told.reason).toBe(first.auto.reason);
  expect(told.candidates.map(({ verdict }) => verdict)).toEqual(
    first.auto.candidates.map(({ verdict }) => verdict),
  );
  setField(build, 'spec.auto', undefined);
  for (const [field, value] of Object.entries(told.chosen)) setField(build, `spec.${field}`, value);
  expect(wayOf(parseResource(build, 'said.yaml').spec as EmulatorBuildSpec)).toEqual(first.auto.way);
});

test('shards and memory change nothing of it', async () => {
  const other = { probe: { ...input('').probe, shards: 2 }, memory: 2 ** 27 };
  for (const shard of [0, 1]) await runProbe(engine, input('shards', { auto, ...other }), shard);
  const made = await found('shards', other);
  expect(made.auto).toEqual(first.auto);
  expect(made.artifact.digest).toBe(first.artifact.digest);
});

test('another budget measures nothing again, and a smaller one gives no more agreement', async () => {
  const before = keptFiles('first');
  const least = Math.min(...first.auto.candidates.map(({ figures }) => figures?.bitsKept.value ?? 1));
  const made = await found('less', {
    ...{ work: at('work', 'first'), own: at('own', 'first') },
    auto: { ...auto, leakAtMost: Math.max(0, least) },
  });
  expect(keptFiles('first')).toEqual(before);
  const agreement = ({ auto: { candidates } }: { auto: Found }) =>
    candidates.find(({ verdict }) => verdict === 'chosen')!.figures!.agreement;
  expect(agreement(made)).toBeLessThanOrEqual(agreement(first));
});

test('killed between two candidates it goes on to the same bundle', async () => {
  const cancel = new SharedArrayBuffer(4);
  const killed = await Engine.create({ provider: 'cpu', threads: 1, cancel });
  const keeper: Keeper = {
    ...inPlace,
    async push() {
      if (Object.keys(keptFiles('killed')[0]?.[1] ?? {}).length === 2)
        Atomics.store(new Int32Array(cancel), 0, 1);
    },
  };
  await expect(assemble(killed, input('killed', { auto, keeper }))).rejects.toMatchObject({
    reason: 'Cancelled',
  });
  await killed.dispose();
  expect(Object.keys(keptFiles('killed')[0]![1])).toHaveLength(2);
  const made = await found('killed');
  expect(made.auto).toEqual(first.auto);
  expect(made.artifact.digest).toBe(first.artifact.digest);
});

test('where nothing fits, the nearest is told, and nothing was measured that size ruled out', async () => {
  const small = { ...auto, sizeAtMost: 0.01 };
  await expect(found('small', { auto: small })).rejects.toThrow(
    /^spec\.auto: no candidate has .* the nearest, .* bits that were not measured, 0\.\d{4} of the size/,
  );
  expect(keptFiles('small')).toEqual([]);
});

test('a model that knows nothing of the rows has no leak to be told', async () => {
  await expect(found('untrained', { model: at('model') })).rejects.toThrow(
    'the model is no better than a unigram model',
  );
});

test('one derivation gives every smaller rank', async () => {
  const model = openModel(at('out/model'));
  const directory = readdirSync(at('work/first'))
    .map((name) => at('work/first', name))
    .find((path) => peekManifest(path)?.manifest.kind === 'Observations')!;
  const given = { engine, model, found: openObservations(directory) };
  const probed = probeKey(model, input(''));
  const direct = await nestedFactors(at('own/direct'), given, '0.35', { probed, emit: () => {} });
  const nested = await nestedFactors(at('own/nested'), given, '0.7', { probed, emit: () => {} });
  const shapes = await nested.shapesAt('0.35', [1, 3]);
  expect(shapes).toEqual(await direct.shapesAt('0.35', [1, 3]));
  const [ours, theirs] = [nested.tensorsOf(shapes), direct.tensorsOf(shapes)];
  for (const [layer, shape] of shapes)
    for (const { name } of Object.values(slotsIn(model.architecture, layer, shape))) {
      expect(ours.has(name)).toBe(theirs.has(name));
      const [a, b] = [ours.get(name), theirs.get(name)];
      expect(a?.length).toBe(b?.length);
      a?.forEach((value, i) => {
        expect(value).toBeCloseTo(b![i]!, 4);
      });
    }
  model.close();
});
