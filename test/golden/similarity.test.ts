import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type AssembleInput, assemble, openBundle, runProbe } from '../../src/emulator/index.ts';
import type { Pooling } from '../../src/emulator/probe/pooling.ts';
import { probe } from '../../src/emulator/probe/probe.ts';
import { adjacentValues, type States, similarityMatrix } from '../../src/emulator/similarity/similarity.ts';
import { makePlan } from '../../src/emulator/strategies/make-plan.ts';
import { Engine } from '../../src/engine/index.ts';
import { packForModel } from '../../src/evaluation/index.ts';
import { Decoder, type Model, openModel, weightsOf } from '../../src/model/index.ts';
import { fixture, type ReferencePlan, smollm2, workDirectory, writeRows } from '../support/golden/smollm2.ts';
import { idsOf } from '../support/tiny/index.ts';

interface Reference {
  texts: string[];
  ids: number[][];
  /** By pooling, with ` skipFirst` behind those that leave out the first token. */
  adjacent: Record<string, number[]>;
  matrix: number[][];
  plan: ReferencePlan & { layers: number; clusters: number[][] };
}

const reference = fixture<Reference>('similarity');
const { layers: K, ...plan } = reference.plan;
const memory = 256 * 2 ** 20;
const progress = () => {};
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

const worst = (a: readonly number[], b: readonly number[]) =>
  Math.max(...a.map((value, i) => Math.abs(value - b[i]!)));

test("the tokenizer gives transformers' ids", async () => {
  expect(await idsOf(model.tokenizer, reference.texts)).toEqual(reference.ids);
});

test("the published recipe's plan from PyTorch's adjacent values", () => {
  const options = { strategy: 'crash', layers: K, sharing: 'nearest', transferLayers: { count: 4 } } as const;
  expect(makePlan({ adjacent: reference.adjacent['mean']! }, options)).toEqual(plan);
});

test('every pooling gives the adjacent CKA of PyTorch within 1e-4', async () => {
  const examples = reference.ids.map((trunk, row) => ({ row, trunk, branches: [], bytes: [] }));
  const batches = packForModel(examples, model.architecture, { memory: 2 ** 30 });
  const decoder = new Decoder(engine, model.architecture, weightsOf(model, { memory: 2 ** 30 }));
  for (const [name, expected] of Object.entries(reference.adjacent)) {
    const [pooling, skip] = name.split(' ') as [Pooling, string | undefined];
    const pooled = await probe(decoder, batches, {
      pooling,
      skipFirst: skip !== undefined,
      memory,
      progress,
    });
    const states: States[] = pooled.layers.map((values) => ({
      samples: pooled.rows.length,
      width: pooled.width,
      values,
    }));
    const matrix = similarityMatrix(states, { metric: 'linearCKA' });
    expect(worst(adjacentValues(matrix), expected), name).toBeLessThan(1e-4);
  }
});

test('probe and assemble give the clusters, kept and transfer layers and share map of the reference', async () => {
  const data = { path: join(work.path, 'texts.jsonl'), format: 'text' as const };
  writeRows(
    data.path,
    reference.texts.map((text) => ({ text })),
  );
  const input: AssembleInput = {
    model: smollm2,
    data,
    probe: { samples: 64, maxLength: 512, pooling: 'mean', skipFirst: false, shards: 1 },
    output: join(work.path, 'emulator'),
    work: join(work.path, 'pooled-states'),
    own: join(work.path, 'pooled-states'),
    memory,
    emit,
    similarity: { metric: 'linearCKA' },
    plan: { strategy: 'crash', layers: K, sharing: 'nearest', transferLayers: { count: 4 } },
    limit: 0,
  };
  expect((await runProbe(engine, input)).reused).toBe(false);
  const built = await assemble(engine, input);
  expect(built.similarity).toMatchObject(plan);
  expect(worst(built.similarity.adjacent, reference.adjacent['mean']!)).toBeLessThan(1e-4);
  expect(worst(built.similarity.matrix.flat(), reference.matrix.flat())).toBeLessThan(1e-4);

  // another K needs no pass over the model, and the same again is the same artifact
  expect((await runProbe(engine, { ...input, output: join(work.path, 'other') })).reused).toBe(true);
  expect((await assemble(engine, input)).artifact).toEqual(built.artifact);

  const bundle = openBundle(input.output, built.artifact.digest);
  for (const [name, { shape }] of bundle.model.tensors) {
    expect(shape).toEqual(model.tensors.get(name)!.shape);
    expect(Buffer.compare(bundle.model.readBytes(name), model.readBytes(name)), name).toBe(0);
  }
  expect(bundle.model.tensors.size).toBe(2 + 9 * K);
  expect(await idsOf(bundle.model.tokenizer, reference.texts)).toEqual(reference.ids);
  bundle.close();
});
