import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { encodeFloats, writeSafetensors } from '../../../src/checkpoint/index.ts';
import { deriveBlocks } from '../../../src/emulator/derived.ts';
import { nothingObserved } from '../../../src/emulator/observe/observations.ts';
import type { Plan } from '../../../src/emulator/plan/plan.ts';
import type { Engine } from '../../../src/engine/index.ts';
import { type Model, openModel } from '../../../src/model/index.ts';
import { writeTinyModel } from '../../support/tiny/index.ts';

const directory = mkdtempSync(join(tmpdir(), 'offsite-derived-'));
const own = join(directory, 'own');
const plan = { clusters: [[0, 1, 2], [3]], kept: [1, 3], transferLayers: [3], source: [1, 3] };
const probed = {
  ...{ model: 'sha256:m', tokenizer: 'sha256:t', data: 'sha256:d', format: 'text' },
  ...{ samples: 16, maxLength: 64, pooling: 'mean' as const, skipFirst: false },
};
/** Nothing is computed by the engine; it is only asked whether to stop. */
const engine = { throwIfCancelled: () => {} } as unknown as Engine;
const name = 'model.layers.1.mlp.up_proj.weight';
let model: Model;

beforeAll(() => {
  writeTinyModel(join(directory, 'model'), { layers: 4, hidden: 16, intermediate: 16 });
  model = openModel(join(directory, 'model'));
});
afterAll(() => {
  model.close();
  rmSync(directory, { recursive: true, force: true });
});

const derived = (change: Partial<typeof probed> = {}, of: Plan = plan) =>
  deriveBlocks(
    own,
    { model, plan: of, engine, found: nothingObserved },
    { type: 'laco' },
    { probed: { ...probed, ...change }, emit: () => {} },
  );

test('a block that is there is gone on from by the same work only, and other work clears it away', async () => {
  const first = await derived();
  expect([...first.shapes.keys()]).toEqual([1]);
  const right = first.read(name);
  const [blocks] = readdirSync(own);
  const marked = new Float32Array(right.length).fill(7);
  writeSafetensors(join(own, blocks!, '1.safetensors'), [
    { name, dtype: 'F32', shape: [16, 16], bytes: () => encodeFloats(marked, 'F32') },
  ]);
  expect((await derived()).read(name)).toEqual(marked);
  const record = { ...plan, metric: 'linearCKA', adjacent: [0.9, 0.8, 0.7] };
  expect((await derived({}, record)).read(name)).toEqual(marked);
  const other = await derived({ samples: 8 });
  expect(other.read(name)).toEqual(right);
  expect(readdirSync(own)).not.toContain(blocks);
  expect(readdirSync(own)).toHaveLength(1);
});
