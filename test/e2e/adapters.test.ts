// Inserted modules and trained heads, from tuning to what is released.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openModel } from '../../src/model/index.ts';
import { workDirectory } from '../support/golden/smollm2.ts';
import { type Ended, offsite, savedStatus } from '../support/offsite/index.ts';
import { setField, writeFamilyProject, writeManifests, writeTinyData } from '../support/tiny/index.ts';

/** What is trained of which family, and the head's tensor in the saved model where it is saved. */
const runs = {
  gpt2: { adapter: { type: 'lora', rank: 2, dropout: '0.1', head: true }, head: 'lm_head.weight' },
  'gpt-neox': { adapter: { type: 'bitfit', head: true }, head: 'embed_out.weight' },
  llama: { adapter: { type: 'bottleneck', size: 8, head: true }, head: undefined },
};
type Family = keyof typeof runs;
const saved = ['gpt2', 'gpt-neox'] as const;

const work = workDirectory();
afterAll(work.remove);
const at = (...parts: string[]) => join(work.path, ...parts);
let ended: Ended;

beforeAll(async () => {
  writeTinyData(at('data'));
  const manifests = (Object.keys(runs) as Family[]).flatMap((family) => {
    const three = writeFamilyProject(work.path, family, runs[family].adapter);
    if (runs[family].head === undefined) setField(three[2]!, 'spec.output.save', 'adapter');
    return three;
  });
  const refused = structuredClone(manifests.at(-1)!);
  setField(refused, 'metadata.name', 'whole');
  setField(refused, 'spec.output', { uri: 'file:llama/out/whole', save: 'model' });
  writeManifests(at('resources.yaml'), [...manifests, refused]);
  ended = await offsite(['run', '-f', at('resources.yaml'), '--work-dir', at('work')]);
});

test('all are trained, plugged in and evaluated', () => {
  for (const family of Object.keys(runs)) {
    const { evaluation } = savedStatus(at('work'), 'PlugIn', family) as unknown as {
      evaluation: { cells: Record<string, { value: string }> }[];
    };
    expect(Object.keys(evaluation[0]!.cells), ended.stderr).toContain('plugIn');
  }
});

test('a model with modules in it is not released as one of its architecture', () => {
  expect(ended.code).toBe(1);
  expect(ended.stdout).toContain('1 Failed');
  expect(`${ended.stdout}${ended.stderr}`).toMatch(
    /PlugIn whole +Failed: BadSpec: .*exit code 10\): spec\.output\.save: must be adapter or none/,
  );
});

test.each(saved)('%s: the saved model has the trained head, and its embedding is as it was', (family) => {
  const [before, after] = [openModel(at(family, 'model')), openModel(at(family, 'out', 'model'))];
  const head = runs[family].head;
  expect(after.architecture.head['head']!.name).toBe(head);
  expect(after.config['tie_word_embeddings']).toBe(false);
  const { name } = before.architecture.embedding;
  expect(Buffer.compare(after.readBytes(name), before.readBytes(name))).toBe(0);
  const start = before.read(before.architecture.head['head']!.name);
  expect(after.read(head).every((value, i) => value === start[i])).toBe(false);
  before.close();
  after.close();
});

test('an adapter that is released is good, and is what was trained', async () => {
  const verified = await offsite(['verify', at('llama/out/model'), '--emulator', at('llama/out/emulator')]);
  expect(verified.stdout).toContain('17 tensors; belongs to');
  const [trained, released] = ['adapter', 'model'].map((name) =>
    readFileSync(at('llama', 'out', name, 'adapter.safetensors')),
  );
  expect(Buffer.compare(trained!, released!)).toBe(0);
});
