// Rows so long that passes without gradients go over their scores by tiles: memory decides whether blocks are run again, and no bit.
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { peekManifest } from '../../src/artifact/index.ts';
import { workDirectory } from '../support/golden/smollm2.ts';
import { offsite } from '../support/offsite/index.ts';
import { setField, writeManifests, writeRows, writeTinyProject } from '../support/tiny/index.ts';

const work = workDirectory();
afterAll(work.remove);
const at = (...parts: string[]) => join(work.path, ...parts);

test('a training that runs its blocks again comes to the same adapter as one that keeps what they saved', async () => {
  const { build, tune } = writeTinyProject(work.path);
  // four heads and 2,048 tokens: scores of 64 MiB
  writeRows(at('data', 'long.jsonl'), [{ text: 'The stone is blue. '.repeat(1024) }]);
  const trainings = ['1Gi', '8Gi'].map((memory, i) => {
    const own = structuredClone(tune);
    own.metadata.name = `within-${i}`;
    setField(own, 'spec.data', { uri: 'file:data/long.jsonl', format: 'text' });
    setField(own, 'spec.training', { steps: 2, batchSize: 1, learningRate: '1e-2', maxLength: 2048 });
    setField(own, 'spec.engine', { memory, threads: 1 });
    setField(own, 'spec.output.uri', `file:out/within-${i}`);
    return own;
  });
  writeManifests(at('long.yaml'), [build, ...trainings]);
  const { code, stderr } = await offsite(['run', '-f', at('long.yaml'), '--work-dir', at('work')]);
  expect(code, stderr).toBe(0);
  const made = trainings.map((_, i) => peekManifest(at('out', `within-${i}`))!.manifest);
  const plans = made.map(({ hyperparameters }) => hyperparameters['plan']);
  expect(plans).toMatchObject([
    { recompute: true, shape: { capacity: 2048 } },
    { recompute: false, shape: { capacity: 2048 } },
  ]);
  const [again, kept] = made.map(({ files }) => files.find(({ path }) => path === 'adapter.safetensors'));
  expect(again).toEqual(kept);
});
