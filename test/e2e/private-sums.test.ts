// What the noise of a private training has to hide: how far apart the sums of two sets of rows lie, one of which has a row more.
import { globSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { type OffsiteTune, parseResource } from '../../src/api/index.ts';
import { openCheckpoint } from '../../src/checkpoint/index.ts';
import { Engine } from '../../src/engine/index.ts';
import { tune } from '../../src/tuning/index.ts';
import { SecretRandom } from '../../src/tuning/privacy/secret-random.ts';
import { workDirectory } from '../support/golden/smollm2.ts';
import { offsite } from '../support/offsite/index.ts';
import {
  setField,
  tinyManifests,
  tinyRows,
  writeManifests,
  writeRows,
  writeTinyProject,
} from '../support/tiny/index.ts';

const work = workDirectory();
const at = (...parts: string[]) => join(work.path, ...parts);
const rows = tinyRows.multipleChoice(16, 5);
let engine: Engine;

beforeAll(async () => {
  const { build } = writeTinyProject(work.path);
  writeManifests(at('build.yaml'), [build]);
  const { code, stderr } = await offsite(['run', '-f', at('build.yaml'), '--work-dir', at('work')]);
  expect(code, stderr).toBe(0);
  // Every row is drawn, and no noise added.
  vi.spyOn(SecretRandom.prototype, 'uniform').mockReturnValue(0);
  vi.spyOn(SecretRandom.prototype, 'normal').mockReturnValue(0);
  engine = await Engine.create({ provider: 'cpu', threads: 1 });
});
afterAll(async () => {
  vi.restoreAllMocks();
  await engine.dispose();
  work.remove();
});

const [batchSize, clipNorm] = [8, 1];

/** The sum of the rows' clipped gradients, of all tensors behind each other: AdamW's first moment after one step has a tenth of its mean. */
async function sumOf(name: string, of: readonly object[], adapter: object): Promise<number[]> {
  const manifest = tinyManifests().tune;
  writeRows(at(name, 'rows.jsonl'), of);
  setField(manifest, 'spec.adapter', adapter);
  setField(manifest, 'spec.privacy', { noiseMultiplier: '1', delta: '1e-3', clipNorm: `${clipNorm}` });
  setField(manifest, 'spec.training', {
    steps: 1,
    batchSize,
    learningRate: '1e-3',
    checkpointSteps: 1,
    seed: 3,
  });
  await tune({
    spec: (parseResource(manifest, 'test') as OffsiteTune).spec,
    emulator: { directory: at('out/emulator') },
    data: at(name, 'rows.jsonl'),
    output: at(name, 'out'),
    work: at(name, 'work'),
    ...{ engine, memory: 2 ** 30, emit: () => {} },
  });
  const sum: number[] = [];
  for (const file of globSync(at(name, 'work/**/*.safetensors')).sort()) {
    const state = openCheckpoint(file);
    for (const tensor of [...state.tensors.keys()].filter((key) => key.includes('first')).sort())
      sum.push(...Array.from(state.read(tensor) as Float32Array, (value) => (value / 0.1) * batchSize));
    state.close();
  }
  return sum;
}

const distance = (a: readonly number[], b: readonly number[]) =>
  Math.sqrt(a.reduce((sum, value, i) => sum + (value - b[i]!) ** 2, 0));

test.each<[string, object]>([
  ['LoRA', { type: 'lora', rank: 4, alpha: 32 }],
  ['LoRA with dropout', { type: 'lora', rank: 4, alpha: 32, dropout: '0.2' }],
  ['whole layers', { type: 'layers' }],
])('%s: one row more moves the sum by no more than the norm that it is clipped to', async (name, adapter) => {
  const whole = await sumOf(`${name}/whole`, rows, adapter);
  expect(whole.length).toBeGreaterThan(0);
  expect(Math.hypot(...whole.slice(0, 1000))).toBeGreaterThan(0);
  for (const left of [0, 7, 15]) {
    const without = await sumOf(`${name}/without ${left}`, rows.toSpliced(left, 1), adapter);
    expect(distance(whole, without)).toBeLessThan(clipNorm * 1.001);
  }
});
