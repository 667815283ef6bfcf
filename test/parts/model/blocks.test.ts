import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type PackedBatch, pack } from '../../../src/data/index.ts';
import { Engine } from '../../../src/engine/index.ts';
import { Decoder, type Model, openModel, type WeightSource, weightsOf } from '../../../src/model/index.ts';
import { writeTinyModel } from '../../support/tiny/index.ts';

const directory = mkdtempSync(join(tmpdir(), 'offsite-blocks-'));
const [hidden, inner, narrow] = [16, 16, 8];
let engine: Engine;
let model: Model;
let source: WeightSource;
let batch: PackedBatch;

beforeAll(async () => {
  engine = await Engine.create({ provider: 'cpu', threads: 1 });
  writeTinyModel(directory, { layers: 2, hidden, intermediate: inner });
  model = openModel(directory);
  source = weightsOf(model, { memory: 1 << 24 });
  const example = { row: 0, trunk: [1, 2, 3, 4, 5], branches: [], bytes: [] };
  batch = pack([example], { capacity: 16, batch: 1 })[0]!;
});
afterAll(async () => {
  model.close();
  await engine.dispose();
  rmSync(directory, { recursive: true, force: true });
});

/** The source whose second block has only the first `narrow` of the MLP's inner numbers. */
function narrowed(): WeightSource {
  const rows = (values: Float32Array) => values.slice(0, narrow * hidden);
  return {
    ...source,
    slots(position) {
      const slots = source.slots(position);
      if (position === 0) return slots;
      const [gate, up] = [slots['gate']!, slots['up']!].map((slot) => ({ ...slot, shape: [narrow, hidden] }));
      return { ...slots, gate: gate!, up: up!, down: { ...slots['down']!, shape: [hidden, narrow] } };
    },
    block(position) {
      const block = source.block(position);
      if (position === 0) return block;
      const down = Float32Array.from({ length: hidden * narrow }, (_, i) => {
        return block['down']![Math.floor(i / narrow) * inner + (i % narrow)]!;
      });
      return { ...block, gate: rows(block['gate']!), up: rows(block['up']!), down };
    },
  };
}

/** The same numbers in a block of the full shape: what is left out counts nothing. */
function zeroed(): WeightSource {
  return {
    ...source,
    block(position) {
      const block = source.block(position);
      const down = block['down']!.map((value, i) => (i % inner < narrow ? value : 0));
      return position === 0 ? block : { ...block, down };
    },
  };
}

async function run(weights: WeightSource) {
  const decoder = new Decoder(engine, model.architecture, weights);
  const first = await decoder.forward([0], await decoder.embed(batch), batch);
  const { y: states, saved } = await decoder.forwardSaving([1], first, batch, { weights: true });
  const y = await decoder.read(states);
  const back = await decoder.backward(
    ...([[1], await decoder.place(y.slice().fill(1), batch), saved, batch] as const),
  );
  return { y, dx: await decoder.read(back.dx!), weights: back.weights.get(1)! };
}

test('blocks of other shapes stand beside each other: a position runs its own slots', async () => {
  const [found, expected] = [await run(narrowed()), await run(zeroed())];
  const close = (a: Float32Array, b: Float32Array) => {
    expect(a).toHaveLength(b.length);
    a.forEach((value, i) => {
      expect(value).toBeCloseTo(b[i]!, 4);
    });
  };
  close(found.y, expected.y);
  close(found.dx, expected.dx);
  close(found.weights['up']!, expected.weights['up']!.slice(0, narrow * hidden));
  expect(found.weights['down']).toHaveLength(hidden * narrow);
});
