import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Example, pack } from '../../../src/data/index.ts';
import { Engine } from '../../../src/engine/index.ts';
import { packForModel } from '../../../src/evaluation/index.ts';
import { scoreRows } from '../../../src/evaluation/score.ts';
import { Decoder, greedyTokens, type Model, openModel, weightsOf } from '../../../src/model/index.ts';
import { writeTinyModel } from '../../support/tiny/index.ts';

const directory = mkdtempSync(join(tmpdir(), 'offsite-unseen-'));
const hidden = 16;
let engine: Engine;
let model: Model;

beforeAll(async () => {
  engine = await Engine.create({ provider: 'cpu', threads: 1 });
  writeTinyModel(directory, { layers: 2, hidden, intermediate: 16 });
  model = openModel(directory);
});
afterAll(async () => {
  model.close();
  await engine.dispose();
  rmSync(directory, { recursive: true, force: true });
});

/** The model with queries and keys so many times as large: scores of its square. */
function strained(times: number): Decoder {
  const source = weightsOf(model, { memory: 1 << 24 });
  return new Decoder(engine, model.architecture, {
    ...source,
    block(position) {
      const { query, key, ...rest } = source.block(position) as Record<string, Float32Array>;
      const larger = (values: Float32Array) => values.map((value) => value * times);
      return { ...rest, query: larger(query!), key: larger(key!) };
    },
  });
}

const row = (at: number, trunk: number[], branches: number[][] = []): Example => ({
  ...{ row: at, trunk, branches },
  bytes: branches.map(() => 1),
});

/** The states of the first places, after the first block and its gradient for a sum over them. */
async function statesOf(decoder: Decoder, examples: Example[], places: number) {
  const batch = pack(examples, { capacity: 32, batch: 1 })[0]!;
  const embedded = await decoder.embed(batch);
  const { y, saved } = await decoder.forwardSaving([0], embedded, batch, { weights: true });
  const states = await decoder.read(y);
  const upstream = states.map((_, i) => (i < places * hidden ? 1 : 0));
  const back = await decoder.backward([0], await decoder.place(upstream, batch), saved, batch);
  const dx = await decoder.read(back.dx!);
  return [states, dx].map((values) => [...values.subarray(0, places * hidden)]);
}

describe.each([1, 1e3, 1e8, 1e16])('with queries and keys %f times as large', (times) => {
  const own = row(0, [1, 2, 3]);
  test.each<[string, Example[], Example[]]>([
    ['another row', [own, row(1, [4, 5, 6, 7])], [own, row(1, [9, 8, 11, 10])]],
    ['what comes later', [row(0, [1, 2, 3, 4, 5])], [row(0, [1, 2, 3, 9, 8])]],
    ['another branch', [row(0, [1, 2, 3], [[4], [5, 6]])], [row(0, [1, 2, 3], [[4], [9, 8]])]],
  ])('a token hears nothing of %s, to the last bit', async (_, one, other) => {
    const decoder = strained(times);
    const [a, b] = [await statesOf(decoder, one, 3), await statesOf(decoder, other, 3)];
    expect(a.flat().every(Number.isFinite)).toBe(true);
    expect(a).toEqual(b);
  });
});

test.each([
  ['dynamic', { rope_type: 'dynamic', factor: 4 }],
  ['longrope', { rope_type: 'longrope', factor: 4, short_factor: [1, 1], long_factor: [2, 3] }],
])('angles by %s follow the length of the row alone, not of those beside it', async (type, scaling) => {
  const place = join(directory, type);
  writeTinyModel(place, {
    ...{ layers: 1, hidden, intermediate: 16 },
    config: { rope_scaling: scaling, max_position_embeddings: 4, original_max_position_embeddings: 4 },
  });
  const scaled = openModel(place);
  try {
    const decoder = new Decoder(engine, scaled.architecture, weightsOf(scaled, { memory: 1 << 24 }));
    const short = row(0, [1, 2, 3]);
    const long = row(1, [4, 5, 6, 7, 8, 9, 10]);
    const [states] = await statesOf(decoder, [short], 3);
    const [beside] = await statesOf(decoder, [short, long], 3);
    expect(beside).toEqual(states);
    const [own] = await statesOf(decoder, [{ ...long, row: 0 }], 7);
    const [first] = await statesOf(decoder, [{ ...long, row: 0, trunk: long.trunk.slice(0, 4) }], 4);
    expect(own!.slice(0, first!.length)).not.toEqual(first);

    // A choice beside a longer one: with another length it has other angles, and a trunk of its own.
    const scoreOf = async (branches: number[][]) => {
      const batches = packForModel([row(0, [1, 2, 3], branches)], scaled.architecture, { memory: 1 << 24 });
      const scored = await scoreRows(decoder, batches, { memory: 1 << 24, stage: 'score', emit: () => {} });
      const [first] = scored;
      return first!.logLikelihood;
    };
    const [, alone] = await scoreOf([[4]]);
    const [, besideLonger, longer] = await scoreOf([[4], [5, 6, 7]]);
    const [, ownLonger] = await scoreOf([[5, 6, 7]]);
    expect(besideLonger).toBeCloseTo(alone!, 5);
    expect(longer).toBeCloseTo(ownLonger!, 5);
  } finally {
    scaled.close();
  }
});

test('where all tokens are as likely, greedy decoding says the lowest alone', async () => {
  const source = weightsOf(model, { memory: 1 << 24 });
  const head = Object.fromEntries(
    Object.entries(source.head()).map(([slot, values]) => [slot, values.map(() => 0)]),
  );
  const decoder = new Decoder(engine, model.architecture, { ...source, head: () => head });
  const batch = pack([row(0, [1, 0, 2])], { capacity: 16, batch: 1 })[0]!;
  const states = await decoder.embed(batch);
  const { tokens } = await decoder.head(states, batch.targets, greedyTokens);
  expect([...tokens]).toEqual([0, 0]);
});
