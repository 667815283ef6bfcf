// A build that finds its own way, on a tiny model that has learnt its probe's rows: what it chooses, and that it is the explicit build.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type AutoFound, type EmulatorBuildSpec, parseResource, wayOf } from '../../src/api/index.ts';
import { inPlace, type Keeper, peekManifest } from '../../src/artifact/index.ts';
import { openCheckpoint } from '../../src/checkpoint/index.ts';
import { nestedFactors } from '../../src/emulator/auto/factors.ts';
import {
  type AssembleInput,
  assemble,
  emulatorWeights,
  type Found,
  openBundle,
  planOptions,
  runProbe,
} from '../../src/emulator/index.ts';
import { lossTokens, unigramOf } from '../../src/emulator/leak/unigram.ts';
import { openObservations } from '../../src/emulator/observe/open.ts';
import { probeKey } from '../../src/emulator/probe/stage.ts';
import { Engine } from '../../src/engine/index.ts';
import { likelihoodsOf, loadTask, rowLosses } from '../../src/evaluation/index.ts';
import {
  Decoder,
  type Model,
  openModel,
  slotsIn,
  type WeightSource,
  weightsOf,
} from '../../src/model/index.ts';
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

const filesIn = (directory: string) => readdirSync(directory).map((name) => join(directory, name));

/** What is kept of candidates' figures, or of what would be sealed of them: by directory, candidate by candidate. */
const keptFiles = (name: string, kind: 'auto' | 'sealed' = 'auto'): [directory: string, figures: object][] =>
  existsSync(at('work', name))
    ? filesIn(at('work', name))
        .filter((directory) => directory.endsWith(`.${kind}`))
        .map((directory) => [
          directory,
          Object.fromEntries(
            filesIn(directory).map((file) => {
              const { candidate, found } = JSON.parse(readFileSync(file, 'utf8'));
              return [candidate, found];
            }),
          ),
        ])
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
  const { sealed } = candidates.find(({ verdict }) => verdict === 'chosen')!;
  expect(await bitsKeptIn('first', first.auto.rows)).toBeCloseTo(sealed!.value, 4);
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
  // Whoever gets the bundle reads what lies at the output and beside it: nothing of what was looked at on the way is there.
  const { result } = JSON.parse(readFileSync(at('bundles/found.result.json'), 'utf8')) as { result: object };
  expect(Object.keys(result).toSorted()).toEqual(['artifact', 'plan', 'scores', 'similarity']);
  const readable = [at('bundles/found.result.json'), ...filesIn(at('bundles/found'))];
  expect(readable.length).toBeGreaterThan(4);
  const measured = told.candidates.flatMap(({ bitsKept, sealedBitsKept, ...rest }) =>
    [bitsKept, sealedBitsKept, { value: rest.agreement }, { value: rest.agreementAtStart }]
      .flatMap((of) => [of?.value, of !== undefined && 'stderr' in of ? of.stderr : undefined])
      .concat(rest.agreementTrained)
      // Nought and one say nothing, and stand anywhere.
      .filter((figure) => figure !== undefined && !Number.isInteger(Number(figure))),
  );
  expect(measured.length).toBeGreaterThan(10);
  for (const file of readable) {
    const text = readFileSync(file, 'latin1');
    for (const word of ['agreement', 'candidates', 'verdict', 'itsKept', told.reason])
      expect(text, file).not.toContain(word);
    if (file.endsWith('.json'))
      for (const figure of measured) expect(text, file).not.toContain(`"${figure}"`);
  }
  setField(build, 'spec.auto', undefined);
  for (const [field, value] of Object.entries(told.chosen)) setField(build, `spec.${field}`, value);
  expect(wayOf(parseResource(build, 'said.yaml').spec as EmulatorBuildSpec)).toEqual(first.auto.way);
});

test('what was made to be measured is what is sealed: no block is derived again', async () => {
  const own = at('own/once');
  const derived = new Set<string>();
  const emit = () => {
    for (const name of existsSync(own) ? readdirSync(own) : [])
      if (name.startsWith('blocks-')) derived.add(name);
  };
  const made = await found('once', { auto: { ...auto, compressedOnly: true }, emit });
  expect(made.auto.way.compression?.type).toBe('lowRank');
  // All factors at the largest ratio, and what of them was chosen.
  expect(derived.size).toBe(2);
});

const refine = { type: 'distil', steps: 30, batchSize: 8, learningRate: '1e-2', seed: 0 } as const;
const refinedWithin = (name: string, leakAtMost: number, change: Partial<AssembleInput> = {}) =>
  found(name, {
    ...{ work: at('work', 'first'), own: at('own', 'first'), refine },
    auto: { ...auto, leakAtMost, compressedOnly: true },
    ...change,
  });

/** Of each of the probe's rows what a model loses on it; and the row's loss by a unigram model of some rows. */
const rowsHeard = async (weights: WeightSource, { architecture }: Model) => {
  const model = openModel(at('out/model'));
  const task = await loadTask(model, engine, {
    ...{ ...input('').data, name: 'probe', limit: 16, maxLength: 64, memory: 2 ** 26 },
  });
  model.close();
  const heard = await likelihoodsOf(new Decoder(engine, architecture, weights), task, {
    ...{ memory: 2 ** 26, stage: 'test', emit: () => {} },
  });
  return {
    losses: Array.from(rowLosses(heard, task.examples), ({ loss }) => loss),
    tokens: [...lossTokens(task)],
  };
};

/** The bits that a bundle keeps on the rows that are looked at, by what scores models. */
async function bitsKeptIn(bundle: string, rows: number): Promise<number> {
  const model = openModel(at('out/model'));
  const { architecture } = model;
  const full = await rowsHeard(weightsOf(model, { memory: 2 ** 26 }), model);
  const emulator = openBundle(at('bundles', bundle));
  const own = await rowsHeard(emulatorWeights(emulator, { memory: 2 ** 26 }), emulator.model);
  emulator.close();
  model.close();
  const looked = new Set(Array.from({ length: rows }, (_, i) => Math.floor((i * full.losses.length) / rows)));
  const isLooked = (_: unknown, row: number) => looked.has(row);
  const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
  const others = full.tokens.filter(({ row }) => !looked.has(row)).map(({ token }) => token);
  const unigram = unigramOf(others, architecture.vocabulary);
  const nothing = sum(full.tokens.filter(({ row }) => looked.has(row)).map(({ token }) => unigram(token)));
  const [ofFull, ofOwn] = [full, own].map(({ losses }) => sum(losses.filter(isLooked))) as [number, number];
  return (nothing - ofOwn) / (nothing - ofFull);
}

test('a refining that lifts every emulator over the budget of bits seals nothing', async () => {
  const refused = await refinedWithin('over', 0).catch((error: Error) => error.message);
  expect(refused).toMatch(
    /^spec\.auto\.leakAtMost: no candidate keeps at most 0 of the bits .* after spec\.refine, .* of 2 that did before, the nearest, .* keeps 0\.\d{4} ± 0\.\d{4}, and nothing was sealed; give spec\.refine fewer steps/,
  );
  expect(existsSync(at('bundles/over'))).toBe(false);
  const least = Number(/keeps (0\.\d{4})/.exec(refused as string)![1]);

  // With what was told the same one fits; it is not measured again, and its bundle keeps what was told.
  const kept = keptFiles('first', 'sealed');
  const warnings: string[] = [];
  const made = await refinedWithin('within', least, {
    emit: (event) => event.type === 'warning' && warnings.push(`${event.reason}: ${event.message}`),
  });
  expect(keptFiles('first', 'sealed')).toEqual(kept);
  const { sealed, figures } = made.auto.candidates.find(({ verdict }) => verdict === 'chosen')!;
  expect(figures!.bitsKept.value).toBeLessThan(0);
  expect(sealed!.value).toBeLessThanOrEqual(least);
  expect(await bitsKeptIn('within', made.auto.rows)).toBeCloseTo(sealed!.value, 4);
  expect(warnings.filter((text) => text.startsWith('LeakDoubtful'))).toEqual([
    expect.stringContaining(`keeps ${sealed!.value.toFixed(2)} ± ${sealed!.stderr!.toFixed(2)} of the bits`),
  ]);
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
  const probed = probeKey(engine, model, input(''));
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
