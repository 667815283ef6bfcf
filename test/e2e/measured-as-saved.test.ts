// What a PlugIn measures is what it releases: a change that the model's type rounds away is there in an adapter's file.
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { PlugInStatus } from '../../src/api/index.ts';
import { peekManifest, sealArtifact } from '../../src/artifact/index.ts';
import { encodeFloats, openCheckpoint, writeSafetensors } from '../../src/checkpoint/index.ts';
import { workDirectory } from '../support/golden/smollm2.ts';
import { digestIn, offsite, savedStatus } from '../support/offsite/index.ts';
import { type Manifest, setField, writeManifests, writeTinyProject } from '../support/tiny/index.ts';

const work = workDirectory();
afterAll(work.remove);
const at = (...parts: string[]) => join(work.path, ...parts);
let made: Manifest[];
let plug: Manifest;
let hidden: string;

beforeAll(async () => {
  const { build, tune, plug: one } = writeTinyProject(work.path, { model: { dtype: 'BF16' } });
  [made, plug] = [[build, tune], one];
  writeManifests(at('made.yaml'), made);
  const { code, stderr } = await offsite(['run', '-f', at('made.yaml'), '--work-dir', at('work')]);
  expect(code, stderr).toBe(0);
  hidden = belowRounding(at('out', 'adapter'));
});

/** The adapter of full layers with every weight a little less than half a unit in the last place of bfloat16 away from the model's. */
function belowRounding(directory: string): string {
  const trained = openCheckpoint(join(directory, 'adapter.safetensors'));
  const model = openCheckpoint(at('model', 'model.safetensors'));
  const tensors = [...trained.tensors.values()].map(({ name, shape }) => {
    const values = model.read(name).map((value, i) => value * (1 + (i % 2 === 0 ? 1 : -1) * 2 ** -10));
    return { name, shape, dtype: 'F32' as const, bytes: () => encodeFloats(values, 'F32') };
  });
  trained.close();
  writeSafetensors(join(directory, 'adapter.safetensors'), tensors);
  model.close();
  const { madeFrom, hyperparameters } = peekManifest(directory)!.manifest;
  return sealArtifact(directory, { kind: 'Adapter', madeFrom, hyperparameters }).digest;
}

async function cellsOf(save: 'model' | 'adapter') {
  const own = structuredClone(plug);
  own.metadata.name = save;
  setField(own, 'spec.adapter', { uri: 'file:out/adapter', digest: hidden });
  setField(own, 'spec.emulator', { uri: 'file:out/emulator', digest: digestIn(at('out', 'emulator')) });
  setField(own, 'spec.evaluation.tasks', [
    { name: 'text', data: { uri: 'file:data/probe.jsonl' }, format: 'text', limit: 8 },
  ]);
  setField(own, 'spec.output', { uri: `file:out/saved-${save}`, save });
  writeManifests(at(`${save}.yaml`), [own]);
  const { code, stderr } = await offsite(['run', '-f', at(`${save}.yaml`), '--work-dir', at('work')]);
  expect(code, stderr).toBe(0);
  const { evaluation } = savedStatus(at('work'), 'PlugIn', save) as unknown as PlugInStatus;
  return evaluation![0]!.cells;
}

test('a change below the rounding of bfloat16 is nothing in a saved model, and all there in a saved adapter', async () => {
  const [model, adapter] = [await cellsOf('model'), await cellsOf('adapter')];
  expect(model.plugIn).toEqual(model.fullZeroShot);
  expect(adapter.fullZeroShot).toEqual(model.fullZeroShot);
  expect(adapter.plugIn).not.toEqual(model.plugIn);
  const said = (save: string) =>
    peekManifest(at('out', `saved-${save}`))!.manifest.hyperparameters['measured'];
  expect([said('model'), said('adapter')]).toEqual([undefined, 'float32']);
});
