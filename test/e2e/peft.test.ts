// An adapter that PEFT trained on a bundle (test/reference/peft_trains.py) comes back: sealed, verified, plugged in, exported.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openModel } from '../../src/model/index.ts';
import { workDirectory } from '../support/golden/smollm2.ts';
import { digestIn, offsite, savedStatus } from '../support/offsite/index.ts';
import { setField, tinyManifests, writeManifests, writeTinyProject } from '../support/tiny/index.ts';

const fixture = fileURLToPath(new URL('../fixtures/peft', import.meta.url));
const work = workDirectory();
afterAll(work.remove);
const at = (...parts: string[]) => join(work.path, ...parts);

beforeAll(() => writeTinyProject(work.path));

test('from seal to a plugged-in model', async () => {
  const { build, plug } = tinyManifests();
  setField(build, 'spec.strategy', 'uniform');
  setField(build, 'spec.sharing', 'none');
  setField(build, 'spec.transferLayers', { layers: [0, 3] });
  writeManifests(at('build.yaml'), [build]);
  const built = await offsite(['run', '-f', at('build.yaml'), '--work-dir', at('work')]);
  expect(built.code, built.stderr).toBe(0);

  const bundle = ['--emulator', at('out/emulator')];
  const sealed = await offsite(['seal', fixture, ...bundle, '--output', at('out/sealed'), '--json']);
  expect(sealed.code, sealed.stderr).toBe(0);
  const { digest: told, ...rest } = JSON.parse(sealed.stdout);
  expect(rest).toMatchObject({ kind: 'Adapter', path: at('out/sealed') });
  const verified = await offsite(['verify', at('out/sealed'), ...bundle, '--digest', told]);
  expect(verified.stdout).toContain('8 tensors; belongs to');

  setField(plug, 'spec.emulator', { uri: 'file:out/emulator', digest: digestIn(at('out/emulator')) });
  setField(plug, 'spec.adapter', { uri: 'file:out/sealed', digest: told });
  setField(plug, 'spec.gates', undefined);
  writeManifests(at('plug.yaml'), [plug]);
  const plugged = await offsite(['run', '-f', at('plug.yaml'), '--work-dir', at('work')]);
  expect(plugged.code, plugged.stdout + plugged.stderr).toBe(0);
  expect(savedStatus(at('work'), 'PlugIn', 'tiny')).toMatchObject({ phase: 'Complete' });
  const [before, after] = [openModel(at('model')), openModel(at('out/model'))];
  const changed = [...before.tensors.keys()].filter(
    (name) => Buffer.compare(before.readBytes(name), after.readBytes(name)) !== 0,
  );
  before.close();
  after.close();
  expect(changed.sort()).toEqual(
    [0, 3].flatMap((layer) => ['q', 'v'].map((map) => `model.layers.${layer}.self_attn.${map}_proj.weight`)),
  );

  const exported = await offsite(['export', at('out/sealed'), '--output', at('peft')]);
  expect(exported.code, exported.stderr).toBe(0);
  const names = ['adapter_model.safetensors', 'adapter_config.json'].map((name) =>
    readFileSync(at('peft', name)),
  );
  expect(names[0]).toHaveLength(readFileSync(join(fixture, 'adapter_model.safetensors')).length);
});
