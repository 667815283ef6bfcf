import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type OffsiteTuneSpec, parseResource } from '../../src/api/index.ts';
import { openCheckpoint } from '../../src/checkpoint/index.ts';
import { type AssembleInput, assemble, runProbe } from '../../src/emulator/index.ts';
import { Engine } from '../../src/engine/index.ts';
import { type Model, openModel } from '../../src/model/index.ts';
import { historyOf, tune } from '../../src/tuning/index.ts';
import { fixture, type ReferencePlan, smollm2, workDirectory, writeRows } from '../support/golden/smollm2.ts';

interface Reference {
  rows: { question: string; choices: string[]; answer: number }[];
  plan: ReferencePlan;
  log: { loss: number }[];
  /** What five steps changed each tensor by. */
  tensors: {
    name: string;
    size: number;
    norm: number;
    /** How far PyTorch with one thread is from PyTorch with two, by the norm. */
    noise: number;
    /** Elements floor(i * size / count) as little-endian float32 in base64. */
    sample: string;
  }[];
}

const reference = fixture<Reference>('training');
const memory = 4 * 2 ** 30;
const emit = () => {};
const work = workDirectory();
let engine: Engine;
let model: Model;

beforeAll(async () => {
  engine = await Engine.create({ provider: 'cpu', threads: 2 });
  model = openModel(smollm2);
});
afterAll(async () => {
  model.close();
  await engine.dispose();
  work.remove();
});

/** The reference's emulator: uniform, 24 of 30 layers, nearest sharing. */
async function buildEmulator(): Promise<string> {
  const data = { path: join(work.path, 'probe.jsonl'), format: 'text' as const };
  writeRows(data.path, [{ text: 'A probe needs two rows.' }, { text: 'This is the other one.' }]);
  const input: AssembleInput = {
    model: smollm2,
    data,
    probe: { samples: 2, maxLength: 32, pooling: 'mean', skipFirst: false, shards: 1 },
    output: join(work.path, 'emulator'),
    work: join(work.path, 'pooled-states'),
    own: join(work.path, 'pooled-states'),
    memory,
    emit,
    similarity: { metric: 'linearCKA' },
    plan: { strategy: 'uniform', layers: 24, sharing: 'nearest', transferLayers: { count: 4 } },
    limit: 0,
  };
  await runProbe(engine, input);
  expect((await assemble(engine, input)).similarity).toMatchObject(reference.plan);
  return input.output;
}

function tuneSpec(): OffsiteTuneSpec {
  const resource = parseResource(
    {
      apiVersion: 'offsite-tuning.dev/v1alpha1',
      kind: 'OffsiteTune',
      metadata: { name: 'golden' },
      spec: {
        emulator: { ref: { name: 'golden' } },
        data: { uri: 'file:rows.jsonl', format: 'multipleChoice' },
        training: { steps: 5, batchSize: 4, learningRate: '5e-5', schedule: 'cosine' },
        output: { uri: 'file:adapter' },
      },
    },
    'golden.yaml',
  );
  return resource.spec as OffsiteTuneSpec;
}

test('five AdamW steps change every trained tensor as PyTorch does, and no other tensor', async () => {
  const data = join(work.path, 'rows.jsonl');
  writeRows(data, reference.rows);
  const output = join(work.path, 'adapter');
  await tune({
    spec: tuneSpec(),
    emulator: { directory: await buildEmulator() },
    data,
    output,
    work: join(work.path, 'tune'),
    engine,
    memory,
    emit,
  });

  const { losses } = JSON.parse(readFileSync(historyOf(join(work.path, 'tune')), 'utf8')) as {
    losses: number[];
  };
  reference.log.forEach(({ loss }, step) => {
    expect(Math.abs(losses[step]! - loss) / loss, `loss of step ${step}`).toBeLessThan(1e-3);
  });

  const adapter = openCheckpoint(join(output, 'adapter.safetensors'));
  expect([...adapter.tensors.keys()].sort()).toEqual(reference.tensors.map(({ name }) => name).sort());
  for (const { name, size, norm, sample } of reference.tensors) {
    const before = model.read(name);
    const change = Float64Array.from(adapter.read(name), (value, i) => value - before[i]!);
    expect(change.length).toBe(size);
    const bytes = Uint8Array.from(Buffer.from(sample, 'base64'));
    const expected = new Float32Array(bytes.buffer);
    const ours = Float64Array.from(expected, (_, i) => change[Math.floor((i * size) / expected.length)]!);
    expect(Math.abs(length(change) - norm) / norm, `${name}: norm`).toBeLessThan(0.01);
    const difference = ours.map((value, i) => value - expected[i]!);
    expect(length(difference) / length(expected), `${name}: change`).toBeLessThan(0.01);
  }
  adapter.close();
});

function length(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]! ** 2;
  return Math.sqrt(sum);
}
