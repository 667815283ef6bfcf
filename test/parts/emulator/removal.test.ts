import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type PackedBatch, pack } from '../../../src/data/index.ts';
import { type RemovalStep, removalBlocks, removeGreedily } from '../../../src/emulator/observe/removal.ts';
import { Engine } from '../../../src/engine/index.ts';
import { Decoder, type Model, openModel, score, weightsOf } from '../../../src/model/index.ts';
import { writeTinyModel } from '../../support/tiny/index.ts';

const root = mkdtempSync(join(tmpdir(), 'offsite-removal-'));
const depth = 5;
const cancel = new SharedArrayBuffer(4);
let engine: Engine;
let model: Model;
let decoder: Decoder;
let batches: PackedBatch[];

beforeAll(async () => {
  writeTinyModel(join(root, 'model'), { layers: depth, hidden: 16, intermediate: 24 });
  engine = await Engine.create({ provider: 'cpu', threads: 1, cancel });
  model = openModel(join(root, 'model'));
  decoder = new Decoder(engine, model.architecture, weightsOf(model, { memory: 1 << 24 }));
  const examples = Array.from({ length: 5 }, (_, row) => ({
    ...{ row, branches: [], bytes: [] },
    trunk: Array.from({ length: 9 + row }, (__, t) => (11 * row + 5 * t * t) % 50),
  }));
  batches = pack(examples, { capacity: 16, batch: 2 });
});
afterAll(async () => {
  model.close();
  await engine.dispose();
  rmSync(root, { recursive: true, force: true });
});

/** SLEB to the letter: the model without each layer, from the embedding on, batch by batch. */
async function naive(count: number): Promise<number[]> {
  const removed: number[] = [];
  while (removed.length < count) {
    let best = { layer: -1, loss: Number.POSITIVE_INFINITY };
    for (let layer = 1; layer < depth - 1; layer++) {
      if (removed.includes(layer)) continue;
      let loss = 0;
      for (const batch of batches) {
        let x = await decoder.embed(batch);
        for (let position = 0; position < depth; position++)
          if (position !== layer && !removed.includes(position))
            x = await decoder.forward([position], x, batch);
        for (const value of await decoder.head(x, batch.targets, score)) loss -= value;
      }
      if (loss < best.loss) best = { layer, loss };
    }
    removed.push(best.layer);
  }
  return removed;
}

async function remove(
  count: number,
  { steps = [] as RemovalStep[], memory = 2 ** 26, stopAfter = 1e9 } = {},
) {
  const seen = { blocks: 0, kept: 0 };
  const removed = await removeGreedily(decoder, batches, {
    count,
    steps,
    memory,
    progress: (blocks) => {
      seen.blocks += blocks;
    },
    keep: async () => {
      seen.kept++;
      if (seen.kept === stopAfter) new Int32Array(cancel)[0] = 1;
    },
  });
  return { removed, steps, ...seen };
}

describe('greedy removal', () => {
  it('takes away what a search without any sharing takes away, and never the first or the last layer', async () => {
    const expected = await naive(3);
    const whole = await remove(3);
    expect(whole.removed).toEqual(expected);
    expect(whole.blocks).toBe(removalBlocks(depth, 3, batches.length));
    expect([...expected].sort()).toEqual([1, 2, 3]);
    // One batch in flight finds the same numbers.
    expect((await remove(3, { memory: 0 })).steps).toEqual(whole.steps);
    expect((await remove(0)).removed).toEqual([]);
  });

  it('goes on with what was known when it was stopped, and with another count', async () => {
    const whole = await remove(3);
    const steps: RemovalStep[] = [];
    await expect(remove(3, { steps, stopAfter: 2 })).rejects.toThrow('stopped on request');
    new Int32Array(cancel)[0] = 0;
    // As it lay on the disk.
    const kept = JSON.parse(JSON.stringify(steps)) as RemovalStep[];
    expect(Object.keys(kept[0]!.losses)).toHaveLength(2);
    expect(kept[0]!.removed).toBeUndefined();
    const resumed = await remove(3, { steps: kept });
    expect(resumed).toMatchObject({ removed: whole.removed, steps: whole.steps, blocks: whole.blocks });
    // Nothing is run again, and so nothing is kept.
    expect(await remove(3, { steps: kept })).toMatchObject({ kept: 0, blocks: whole.blocks });
    expect((await remove(1, { steps: kept })).removed).toEqual(whole.removed.slice(0, 1));
    // What no search can have left is found anew.
    const foreign = [{ removed: 0, losses: {} }, ...kept.slice(1)];
    expect((await remove(3, { steps: foreign })).removed).toEqual(whole.removed);
  });

  it('of rows without a token to predict is refused', async () => {
    const none = batches.map((batch) => ({ ...batch, targets: [] }));
    const options = { count: 1, steps: [], memory: 1, progress: () => {}, keep: async () => {} };
    await expect(removeGreedily(decoder, none, options)).rejects.toThrow('no token to predict');
  });
});
