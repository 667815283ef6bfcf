import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openModel } from '../../src/model/index.ts';
import { workDirectory } from '../support/golden/smollm2.ts';
import { type Ended, offsite, savedStatus } from '../support/offsite/index.ts';
import { writeFamilyProject, writeManifests, writeTinyData } from '../support/tiny/index.ts';

/** One of each way to embed, to lay out weights and to attend; LLaMA's runs are tested elsewhere. */
const families = ['bloom', 'gemma3', 'gpt2', 'opt-post-norm-projected', 'phi3'];
/** What is trained, where it is not the layers themselves; and which of their tensors that changes. */
const adapters: Record<string, { spec: object; changes: RegExp }> = {
  bloom: { spec: { type: 'bitfit' }, changes: /\.bias$/ },
  gpt2: { spec: { type: 'lora', rank: 2, alpha: 8 }, changes: /\.c_\w+\.weight$/ },
  phi3: { spec: { type: 'lora', targetModules: ['qkv_proj', 'down_proj'] }, changes: /(qkv|down)_proj/ },
};
const work = workDirectory();
afterAll(work.remove);
const at = (...parts: string[]) => join(work.path, ...parts);
let ended: Ended;

beforeAll(async () => {
  writeTinyData(at('data'));
  const manifests = families.flatMap((family) =>
    writeFamilyProject(work.path, family, adapters[family]?.spec),
  );
  writeManifests(at('resources.yaml'), manifests);
  ended = await offsite(['run', '-f', at('resources.yaml'), '--work-dir', at('work')]);
});

test('such families go from probe to plug-in with one set of manifests', () => {
  expect(ended.code, ended.stderr).toBe(0);
});

test.each(families)('%s: only what was trained is other in the saved model', (family) => {
  const status = savedStatus(at('work'), 'EmulatorBuild', family) as unknown as {
    plan: { transferLayers: number[] };
  };
  const [before, after] = [openModel(at(family, 'model')), openModel(at(family, 'out', 'model'))];
  const trained = new Set(
    status.plan.transferLayers.flatMap((layer) =>
      Object.values(before.architecture.block(layer))
        .map(({ name }) => name)
        .filter((name) => adapters[family]?.changes.test(name) ?? true),
    ),
  );
  expect([...after.tensors.keys()].sort()).toEqual([...before.tensors.keys()].sort());
  for (const name of before.tensors.keys())
    expect(Buffer.compare(after.readBytes(name), before.readBytes(name)) !== 0, name).toBe(trained.has(name));
  expect(after.configText).toBe(before.configText);
  before.close();
  after.close();
});
