// A training that goes on from an adapter: from one of no steps it is the plain training, bit for bit.
import { existsSync, globSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type OffsiteTuneSpec, parseResource } from '../../src/api/index.ts';
import { checkpointsOf, inPlace, openArtifact, StoreError } from '../../src/artifact/index.ts';
import { Random } from '../../src/data/index.ts';
import {
  assemble,
  type Bundle,
  bundleSlots,
  openBundle,
  runProbe,
  trainedLayers,
} from '../../src/emulator/index.ts';
import { Engine } from '../../src/engine/index.ts';
import { openAdapter } from '../../src/plugin/index.ts';
import { adapterOf, historyOf, tune } from '../../src/tuning/index.ts';
import { writeAdapter } from '../../src/tuning/result.ts';
import { trainedHead, trainedLayer } from '../../src/tuning/trained.ts';
import { workDirectory } from '../support/golden/smollm2.ts';
import { tinyManifests, tinyRows, writeRows, writeTinyData, writeTinyModel } from '../support/tiny/index.ts';

const work = workDirectory();
const at = (...parts: string[]) => join(work.path, ...parts);
const memory = 2 ** 30;
const emulator = { directory: at('emulator') };
const seed = 42;
const cancel = new SharedArrayBuffer(4);
let engine: Engine;
let bundle: Bundle;

beforeAll(async () => {
  engine = await Engine.create({ provider: 'cpu', threads: 1, cancel });
  writeTinyModel(at('model'));
  writeTinyData(at('data'));
  const input = {
    model: at('model'),
    data: { path: at('data/probe.jsonl'), format: 'text' as const },
    probe: { samples: 16, maxLength: 64, pooling: 'mean' as const, skipFirst: false, shards: 1 },
    ...{ output: emulator.directory, work: at('states'), own: at('states'), memory, emit() {}, limit: 0 },
    similarity: { metric: 'linearCKA' as const },
    plan: {
      ...{ strategy: 'uniform' as const, layers: 4, sharing: 'nearest' as const },
      transferLayers: { count: 2 },
    },
  };
  await runProbe(engine, input);
  await assemble(engine, input);
  bundle = openBundle(emulator.directory);
});
afterAll(async () => {
  bundle.close();
  await engine.dispose();
  work.remove();
});

type AdapterSpec = OffsiteTuneSpec['adapter'];

function specOf(adapter: AdapterSpec, { training: changed = {}, ...more }: Changed): OffsiteTuneSpec {
  const { tune: manifest } = tinyManifests((place) => `pvc://team/${place}`);
  const usual = { steps: 2, batchSize: 4, learningRate: '1e-2', maxLength: 128, checkpointSteps: 1, seed };
  const spec = { ...manifest.spec, adapter, training: { ...usual, ...changed }, ...more };
  const resource = parseResource({ ...manifest, spec }, 'test');
  return resource.spec as OffsiteTuneSpec;
}

/** Fields of the spec that are not the usual ones. */
interface Changed {
  training?: object;
  objective?: object;
  audit?: object;
  privacy?: object;
  engine?: object;
}

/** @param start the directory of the adapter to go on from; @param stopped after the first step */
async function tuned(
  name: string,
  adapter: AdapterSpec,
  start?: string,
  {
    stopped = false,
    data = 'data/train.jsonl',
    validation = 'data/validation.jsonl',
    ...changed
  }: Changed & { stopped?: boolean; data?: string; validation?: string } = {},
) {
  Atomics.store(new Int32Array(cancel), 0, 0);
  const {
    audit,
    training,
    validation: cells,
  } = await tune({
    spec: specOf(adapter, changed),
    emulator,
    start:
      start === undefined
        ? undefined
        : (opened) => openAdapter(start, { model: opened.model, slots: bundleSlots(opened), ...own(opened) }),
    ...{ data: at(data), validation: at(validation) },
    ...{ output: at(name), work: at('work', name), engine, memory },
    emit(event) {
      if (stopped && event.type === 'progress' && event.stage === 'tune')
        Atomics.store(new Int32Array(cancel), 0, 1);
    },
  });
  const bytes = readFileSync(at(name, 'adapter.safetensors'));
  return { ...openArtifact(at(name)), bytes, audit, training, cells };
}

const own = (opened: Bundle) => ({ emulator: opened.artifact.digest, bundle: opened });

/** What a training of this seed begins with, as an adapter. */
async function ofNoSteps(adapter: AdapterSpec, directory: string): Promise<void> {
  const { model, plan } = bundle;
  const kind = adapterOf(adapter);
  const randomAt = (layer: number) => new Random(seed, 1_000_000 + layer);
  const now = () => ({ seed, step: 0 });
  const layers = trainedLayers(plan);
  const parts = [
    ...layers.map((layer) => trainedLayer(model, layer, kind, randomAt(layer), now)),
    ...(kind.head ? [trainedHead(model, kind.head, randomAt(model.architecture.depth))] : []),
  ];
  const record = { step: 0, cursor: { epoch: 0, index: 0 }, tokens: 0, resumes: 0 };
  await writeAdapter(
    { output: directory, own: `${directory}-work` },
    {
      state: {
        tensors: parts.flatMap(({ tensors }) => tensors),
        record: { ...record, losses: [], evaluations: [], bestStep: 0 },
      },
      ...{ steps: 0, validation: undefined, privacy: undefined },
      adapterFiles: kind.files(model.architecture, layers),
      work: {
        kind: 'Adapter',
        madeFrom: { emulator: bundle.artifact.digest },
        hyperparameters: { adapter },
      },
    },
    () => {},
  );
}

describe.each<AdapterSpec>([
  { type: 'layers' },
  { type: 'lora', rank: 2, head: true },
  { type: 'bottleneck', size: 4 },
])('%j', (adapter) => {
  const name = adapter.type;

  it('from an adapter of no steps it is the plain training; from that one it goes on', async () => {
    const plain = await tuned(name, adapter);
    expect(plain.manifest.madeFrom).toEqual({ emulator: bundle.artifact.digest });
    await ofNoSteps(adapter, at(`${name}-none`));
    const none = openArtifact(at(`${name}-none`)).digest;

    const same = await tuned(`${name}-same`, adapter, at(`${name}-none`));
    expect(same.bytes.equals(plain.bytes)).toBe(true);
    expect(same.manifest).toEqual({
      ...plain.manifest,
      madeFrom: { ...plain.manifest.madeFrom, start: none },
    });

    const further = await tuned(`${name}-further`, adapter, at(name));
    const [before, after] = [name, `${name}-further`].map((of) => evaluationsOf(of));
    // The weights that it begins with are those that the other ended with, in what they score to the last bit.
    expect(after![0]).toEqual({ ...before!.find(({ step }) => step === 2), step: 0 });
    expect(further.bytes.equals(plain.bytes)).toBe(false);

    if (name !== 'lora') return;
    // Stopped and run again it comes to the same.
    await expect(tuned(`${name}-stopped`, adapter, at(name), { stopped: true })).rejects.toThrow(
      expect.objectContaining({ reason: 'Cancelled' }),
    );
    expect((await tuned(`${name}-stopped`, adapter, at(name))).digest).toBe(further.digest);
  });
});

const evaluationsOf = (name: string) =>
  (JSON.parse(readFileSync(historyOf(at('work', name)), 'utf8')) as { evaluations: { step: number }[] })
    .evaluations;

it.each<[string, AdapterSpec, string]>([
  [
    'another type',
    { type: 'layers' },
    'spec.adapter: is {"head":false,"type":"layers"}, and the adapter of spec.start is {',
  ],
  [
    'another rank',
    { type: 'lora', rank: 3, head: true },
    'spec.adapter: is {"alpha":32,"head":true,"rank":3,',
  ],
  ['another scale', { type: 'lora', rank: 2, alpha: 2, head: true }, 'they must be the same'],
  ['no head', { type: 'lora', rank: 2 }, 'they must be the same'],
  ['fewer maps', { type: 'lora', rank: 2, head: true, targetModules: ['q_proj'] }, 'they must be the same'],
])('%s than the adapter it is to go on from is refused with the field', async (_, adapter, words) => {
  await expect(tuned('refused', adapter, at('lora'))).rejects.toThrow(
    expect.objectContaining({ reason: 'BadSpec', message: expect.stringContaining(words) }),
  );
});

it('dropout, and a default that is written out, make no other adapter', async () => {
  const adapter: AdapterSpec = { type: 'lora', rank: 2, alpha: 32, head: true, dropout: '0.1' };
  const { manifest } = await tuned('dropout', adapter, at('lora'));
  expect(manifest.madeFrom['start']).toBe(openArtifact(at('lora')).digest);
});

it("a weight that gains nothing is drawn to the model's own, not to that of the adapter it goes on from", async () => {
  const adapter: AdapterSpec = { type: 'layers' };
  const objective = { type: 'sft', l1: '1000' };
  const { bytes } = await tuned('sparse', adapter, at('layers'), { objective });
  expect(bytes.equals(readFileSync(at('layers-none', 'adapter.safetensors')))).toBe(true);
});

it('that diverges ends with the step whose evaluation finds it, and no adapter is there', async () => {
  const training = { learningRate: '1e30', evalSteps: 1 };
  const diverged = tuned('diverged', { type: 'layers' }, undefined, { training });
  await expect(diverged).rejects.toMatchObject({
    reason: 'BadModel',
    message: expect.stringContaining(
      'step 1: the training has diverged: the validation loss is not finite; lower spec.training.learningRate',
    ),
  });
  expect(existsSync(at('diverged'))).toBe(false);
});

it.each([
  [1, /^step 1: the training has diverged: .*learningRate, or look at the adapter of spec\.start$/],
  [
    9,
    /^step 2: the \w+ is not finite; lower spec\.training\.learningRate, or look at the adapter of spec\.start$/,
  ],
])('that diverges at once from an adapter names it, evaluated after %s steps', async (evalSteps, message) => {
  const training = { learningRate: '1e30', evalSteps };
  const begun = at(`begun-${evalSteps}`);
  await ofNoSteps({ type: 'layers' }, begun);
  const diverged = tuned('diverged', { type: 'layers' }, begun, { training });
  await expect(diverged).rejects.toThrow(message);
});

it('an audit is against the adapter that was gone on from: one that changes nothing of it tells nothing', async () => {
  // No row of theirs is trained on.
  const validation = 'data/others.jsonl';
  const others = tinyRows.multipleChoice(8, 5);
  writeRows(
    at(validation),
    others.map((row) => ({ ...row, question: row.question.replace('has', 'is') })),
  );
  const still = { training: { learningRate: '1e-30' }, audit: { membership: {} }, validation };
  const { audit, bytes } = await tuned('audited', { type: 'layers' }, at('layers'), still);
  expect(bytes.equals(readFileSync(at('layers', 'adapter.safetensors')))).toBe(true);
  expect(audit!.membership).toMatchObject({ auc: { value: '0.5000' }, tpr: { value: '0.0000' } });
});

it('that hides its rows makes no step before its work place has the key, and ends where it cannot have it', async () => {
  const said: string[] = [];
  const keeper = {
    ...inPlace,
    push: async (path: string) => {
      said.push(`push ${basename(path)}: ${globSync('*/noise-key', { cwd: path }).length}`);
      throw new StoreError('StoreUnavailable', 'away');
    },
  };
  const spec = specOf({ type: 'layers' }, { privacy: { noiseMultiplier: '1' } });
  Atomics.store(new Int32Array(cancel), 0, 0);
  const training = tune({
    ...{ spec, emulator, data: at('data/train.jsonl'), engine, memory, keeper },
    ...{ output: at('keyless'), work: at('work', 'keyless') },
    emit(event) {
      if (event.type === 'progress' && event.stage === 'tune') said.push('step');
    },
  });
  await expect(training).rejects.toThrow('away');
  expect(said).toEqual(['push checkpoints: 1']);
  expect(existsSync(at('keyless'))).toBe(false);
});

it('that hides its rows and was handed over is not made again under another noise', async () => {
  const made = (training: object = {}) =>
    tuned('private', { type: 'layers' }, undefined, { training, privacy: { noiseMultiplier: '1' } });
  const { digest } = await made();
  renameSync(at('private'), at('taken'));
  // Killed before it took its place: the key is there still.
  expect((await made()).digest).toBe(digest);
  rmSync(at('private'), { recursive: true });
  rmSync(checkpointsOf(at('work', 'private')), { recursive: true });
  await expect(made()).rejects.toMatchObject({
    reason: 'BadSpec',
    message: expect.stringContaining(`was made and handed over as ${digest}`),
  });
  expect(existsSync(at('private'))).toBe(false);
  renameSync(at('taken'), at('private'));
  expect((await made()).digest).toBe(digest);
  rmSync(at('private'), { recursive: true });
  expect((await made({ seed: seed + 1 })).digest).not.toBe(digest);
});

describe('that hides its rows', () => {
  type Other = Changed & { data?: string; validation?: string; adapter?: object };
  const made = ({ adapter, training, privacy, ...other }: Other = {}, name = 'once') =>
    tuned(name, { type: 'lora', dropout: '0.1', ...adapter }, undefined, {
      ...{ training: { batchSize: 20, ...training }, ...other },
      privacy: { noiseMultiplier: '1', delta: '1e-5', ...privacy },
    });
  let first: Awaited<ReturnType<typeof made>>;
  beforeAll(async () => {
    first = await made();
    // As a stage leaves it.
    rmSync(checkpointsOf(at('work/once')), { recursive: true });
    writeRows(at('data/others.jsonl'), tinyRows.multipleChoice(40, 9));
    const lines = readFileSync(at('data/train.jsonl'), 'utf8').trimEnd().split('\n');
    const backwards = (line: string) =>
      Object.fromEntries(Object.entries(JSON.parse(line) as object).reverse());
    writeRows(at('data/rewritten.jsonl'), lines.map(backwards));
    writeFileSync(at('data/reordered.jsonl'), `${[...lines].sort().reverse().join('\n')}\n`);
  });

  const everyMap = ['down', 'up', 'gate', 'o', 'v', 'k', 'q'].map((name) => `${name}_proj`);
  const same: [string, Other][] = [
    ['checkpointSteps', { training: { checkpointSteps: 2 } }],
    ['microBatchSize', { training: { microBatchSize: 3 } }],
    ['evalSteps', { training: { evalSteps: 1 } }],
    ['training.clipNorm', { training: { clipNorm: '0.5' } }],
    ['the spelling of a number', { training: { learningRate: '0.01', betas: ['0.90', '9.99e-1'] } }],
    ['epochs in place of as many steps', { training: { steps: undefined, epochs: 1 } }],
    [
      'a default that is written out',
      { adapter: { rank: 4, alpha: 32 }, objective: { type: 'sft', l1: '0' } },
    ],
    ['that all maps are listed', { adapter: { targetModules: everyMap } }],
    ['engine', { engine: { threads: 1, memory: '1Gi' } }],
    ['delta', { privacy: { delta: '1e-6' } }],
    ['how their file writes the rows', { data: 'data/rewritten.jsonl' }],
    ['the order of the rows', { data: 'data/reordered.jsonl' }],
    ['the validation rows', { validation: 'data/others.jsonl' }],
  ];
  it.each(same)(
    'is not made again where nothing is changed but %s: the adapter is taken',
    async (field, other) => {
      const { digest, training, cells } = await made(other);
      expect(digest).toBe(first.digest);
      // What was measured is told again, but for that of other rows.
      const isMeasured = field !== 'the validation rows';
      expect(training['lastLoss']).toBe(isMeasured ? first.training['lastLoss'] : undefined);
      expect(cells).toEqual(isMeasured ? first.cells : undefined);
    },
  );

  it('is told no figures of another adapter that it came to under another noise', async () => {
    const file = historyOf(at('work/once'));
    const history = readFileSync(file, 'utf8');
    expect(JSON.parse(history)).toMatchObject({ adapter: first.digest });
    writeFileSync(file, history.replace(first.digest, `sha256:${'0'.repeat(64)}`));
    expect((await made()).training['lastLoss']).toBeUndefined();
    writeFileSync(file, history);
    expect((await made()).training['lastLoss']).toBe(first.training['lastLoss']);
  });

  it('is refused with such a field changed where it lies there no more', async () => {
    renameSync(at('once'), at('away'));
    for (const [, other] of same)
      await expect(made(other)).rejects.toMatchObject({
        reason: 'BadSpec',
        message: expect.stringContaining(`was made and handed over as ${first.digest}`) as string,
      });
    expect(existsSync(at('once'))).toBe(false);
    renameSync(at('away'), at('once'));
  });

  it('is known so by the words of an earlier version, too', async () => {
    const word = at('work/once/made.json');
    const { same: _, once, ...last } = JSON.parse(readFileSync(word, 'utf8'));
    const [{ same: __, ...only }] = once;
    writeFileSync(word, JSON.stringify({ ...last, once: [only] }));
    expect((await made({ training: { checkpointSteps: 2 } })).digest).toBe(first.digest);
    expect((await made({ training: { learningRate: '0.01' } })).digest).toBe(first.digest);
    renameSync(at('once'), at('away'));
    await expect(made()).rejects.toThrow(`was made and handed over as ${first.digest}`);
    renameSync(at('away'), at('once'));
  });

  it.each<[string, Other]>([
    ['other rows', { data: 'data/others.jsonl' }],
    ['another learning rate', { training: { learningRate: '2e-2' } }],
    ['more steps', { training: { steps: 3 } }],
    ['another dropout', { adapter: { dropout: '0.2' } }],
    ['another noise', { privacy: { noiseMultiplier: '1.1' } }],
  ])('is another one with %s, which is asked for', async (what, other) => {
    await made({}, what);
    const { digest } = openArtifact(at(what));
    expect((await made(other, what)).digest).not.toBe(digest);
  });
});
