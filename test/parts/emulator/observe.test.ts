import { appendFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type PackedBatch, pack } from '../../../src/data/index.ts';
import { type ObservationKey, writeObservations } from '../../../src/emulator/observe/files.ts';
import { highestOf, includes } from '../../../src/emulator/observe/observations.ts';
import { openObservations } from '../../../src/emulator/observe/open.ts';
import { ObservingPassage } from '../../../src/emulator/observe/pass.ts';
import { memoryLeft } from '../../../src/emulator/observe/room.ts';
import { joinSums } from '../../../src/emulator/observe/summed-layers.ts';
import { Engine } from '../../../src/engine/index.ts';
import { streamBlocks } from '../../../src/evaluation/index.ts';
import { Decoder, type Model, openModel, weightsOf } from '../../../src/model/index.ts';
import { unanswered } from '../../support/faults/unanswered-disk.ts';
import { writeTinyModel } from '../../support/tiny/index.ts';

const root = mkdtempSync(join(tmpdir(), 'offsite-observe-'));
const cancel = new SharedArrayBuffer(4);
const observed = 'gradients';
const key: ObservationKey = {
  ...{ model: 'a', tokenizer: 'b', data: 'c', format: 'text', samples: 9, maxLength: 16, observed },
};
let engine: Engine;
let model: Model;
let decoder: Decoder;
let batches: PackedBatch[];

beforeAll(async () => {
  writeTinyModel(join(root, 'model'), { layers: 2, hidden: 16, intermediate: 24 });
  engine = await Engine.create({ provider: 'cpu', threads: 1, cancel });
  model = openModel(join(root, 'model'));
  decoder = new Decoder(engine, model.architecture, weightsOf(model, { memory: 1 << 24 }));
  const examples = Array.from({ length: 9 }, (_, row) => ({
    ...{ row, branches: [], bytes: [] },
    trunk: Array.from({ length: 5 + row }, (__, t) => (7 * row + 3 * t * t) % 50),
  }));
  // Sequences with and without padding; the last batch is of another shape.
  batches = pack(examples, { capacity: 16, batch: 2 });
});
afterAll(async () => {
  model.close();
  await engine.dispose();
  rmSync(root, { recursive: true, force: true });
});

async function observe(some: readonly PackedBatch[], directory: string, whole?: number, memory = 2 ** 26) {
  const outputs: Float32Array[] = [];
  const progress = () => {};
  await streamBlocks(decoder, some, {
    memory,
    progress,
    passage: new ObservingPassage(decoder, { observed, directory, whole, progress }),
    eachBlock: (_position, _batch, hidden) => outputs.push(hidden),
  });
  return outputs;
}

function directory(name: string): string {
  const path = join(root, name);
  mkdirSync(path, { recursive: true });
  return path;
}

const filesOf = (path: string) =>
  Object.fromEntries(readdirSync(path).map((name) => [name, readFileSync(join(path, name), 'latin1')]));

describe('what is observed', () => {
  it('is the same bytes for any order of batches, any shards, and any memory; blocks give what they always do', async () => {
    expect(batches.length).toBeGreaterThan(2);
    const outputs = await observe(batches, directory('whole'), batches.length);
    const whole = filesOf(join(root, 'whole'));
    expect(Object.keys(whole).sort()).toEqual(
      ['backward-0', 'backward-1', 'forward-0', 'forward-1'].map((name) => `${name}.safetensors`),
    );
    const plain: Float32Array[] = [];
    await streamBlocks(decoder, batches, {
      memory: 2 ** 26,
      progress: () => {},
      eachBlock: (_position, _batch, hidden) => plain.push(hidden),
    });
    expect(outputs).toEqual(plain);

    await observe(batches.toReversed(), directory('reversed'), batches.length);
    expect(filesOf(join(root, 'reversed'))).toEqual(whole);
    // One batch in flight: each layer's sums go to the disk and come back for every batch.
    await observe(batches, directory('tight'), batches.length, 0);
    expect(filesOf(join(root, 'tight'))).toEqual(whole);

    // The last has no batch.
    const shards = Array.from({ length: batches.length + 1 }, (_, index) => directory(`shard-${index}`));
    for (const [index, shard] of shards.entries()) await observe(batches.slice(index, index + 1), shard);
    joinSums(shards, directory('joined'));
    expect(filesOf(join(root, 'joined'))).toEqual(whole);
    joinSums(shards.toReversed(), directory('joined the other way'));
    expect(filesOf(join(root, 'joined the other way'))).toEqual(whole);
    // A disk that does not answer of one shard: its sums are not left out.
    const [first] = readdirSync(shards[0]!);
    for (const code of ['EIO', 'Unknown system error -116'])
      unanswered(join(shards[0]!, first!), code, () =>
        expect(() => joinSums(shards, directory('joined in part'))).toThrow(new RegExp(`^${code}`)),
      );
    rmSync(join(shards[0]!, first!));
    expect(() => joinSums(shards, directory('joined of the rest'))).toThrow(
      /^what the shards observed of layer \d is of \d+ tokens, of another layer of \d+; remove it and probe again$/,
    );
  });

  it('is opened layer by layer; a damaged file is told by its name, as is what was not observed', async () => {
    const path = join(root, 'sealed');
    await writeObservations(path, key, async (temporary) => {
      await observe(batches, temporary, batches.length);
    });
    const found = openObservations(path);
    expect(found.influence).toHaveLength(2);
    const [queries, keys] = [found.inputs(1, 'query'), found.inputs(1, 'key')];
    expect(keys).toBe(queries);
    expect(queries.tokens).toBe(9 * 5 + 36);
    expect(found.inputs(1, 'down').mean).toHaveLength(24);
    expect(found.gradients(0, 'down').weight).toHaveLength(16 * 24);
    expect(() => found.inputs(0, 'queryBias')).toThrow('second of queryBias was not observed');
    appendFileSync(join(path, 'forward-1.safetensors'), '\0');
    expect(() => openObservations(path)).toThrow('forward-1.safetensors: has');
  });

  it('of a pass that is stopped is nothing, and the next one finds all', async () => {
    const path = join(root, 'stopped');
    const stopped = writeObservations(path, key, async (temporary) => {
      const passing = observe(batches, temporary, batches.length);
      new Int32Array(cancel)[0] = 1;
      await passing;
    });
    await expect(stopped).rejects.toThrow('stopped on request');
    new Int32Array(cancel)[0] = 0;
    expect(readdirSync(root).filter((name) => name.includes('stopped'))).toEqual([]);
    await writeObservations(path, key, async (temporary) => {
      await observe(batches, temporary, batches.length);
    });
    const { 'manifest.json': _, ...files } = filesOf(path);
    expect(files).toEqual(filesOf(join(root, 'whole')));
  });

  it('needs memory for the sums of one block, which is told before anything runs', () => {
    expect(memoryLeft(decoder, batches, 'influence', 5)).toBe(5);
    // x x^T of query+key+value, output and gate+up (16 wide), and of down (24 wide): 4 bytes in the batch, 16 in the sum.
    const taken = 3 * (4 * 16 * 16 + 16 * 136) + 4 * 24 * 24 + 16 * 300;
    expect(memoryLeft(decoder, batches, 'inputs', 2 ** 20)).toBe(2 ** 20 - taken);
    expect(() => memoryLeft(decoder, batches, 'inputs', taken)).toThrow(
      'spec.engine.memory: what is observed of one layer takes 1Mi, and the stage may take 1Mi',
    );
    expect(memoryLeft(decoder, batches, 'gradients', 2 ** 20)).toBeLessThan(2 ** 20 - taken);
  });
});

it('of several observations the highest has all', () => {
  expect(highestOf([])).toBeUndefined();
  expect(highestOf(['inputs', 'influence'])).toBe('inputs');
  expect(includes('gradients', 'influence')).toBe(true);
  expect(includes('influence', 'inputs')).toBe(false);
});
