// Trainings that go on from each other's adapters, by `offsite run` in the order of their references, and what is refused.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { failureOf, offsite } from '../support/offsite/index.ts';
import { type Manifest, setField, writeManifests, writeTinyProject } from '../support/tiny/index.ts';

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'offsite-start-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const manifestOf = (place: string) => JSON.parse(readFileSync(join(root, place, 'manifest.json'), 'utf8'));

test('an adapter, what is released of it, and what goes on from either: made in this order, with equal tensors', async () => {
  const { build, tune, plug } = writeTinyProject(root);
  const named = (manifest: Manifest, name: string) => {
    const copy = structuredClone(manifest);
    copy.metadata.name = name;
    setField(copy, 'spec.output.uri', `file:out/${name}`);
    return copy;
  };
  const training = { steps: 1, batchSize: 4, learningRate: '1e-2', maxLength: 128 };
  const tuneFrom = (name: string, start?: object, adapter?: object) => {
    const copy = named(tune, name);
    setField(copy, 'spec.data.validation', undefined);
    setField(copy, 'spec.training', training);
    if (start) setField(copy, 'spec.start', start);
    if (adapter) setField(copy, 'spec.adapter', adapter);
    return copy;
  };
  const released = named(plug, 'released');
  setField(released, 'spec.adapter', { ref: { name: 'z-first' } });
  setField(released, 'spec.evaluation', undefined);
  setField(released, 'spec.output.save', 'adapter');
  const otherBuild = named(build, 'other-bundle');
  setField(otherBuild, 'spec.layers', 5);
  const foreign = tuneFrom('d-foreign', { ref: { name: 'z-first' } });
  setField(foreign, 'spec.emulator.ref.name', 'other-bundle');
  writeManifests(join(root, 'resources.yaml'), [
    tuneFrom('a-after-release', { ref: { kind: 'PlugIn', name: 'released' } }),
    tuneFrom('b-after-tune', { ref: { name: 'z-first' } }),
    tuneFrom('c-other', { ref: { name: 'z-first' } }, { type: 'lora' }),
    foreign,
    tuneFrom('z-first'),
    released,
    build,
    otherBuild,
  ]);
  const work = join(root, 'work');
  const { code, stdout, stderr } = await offsite([
    'run',
    '-f',
    join(root, 'resources.yaml'),
    '--work-dir',
    work,
  ]);
  expect(code, stdout + stderr).toBe(1);
  expect(failureOf(work, 'OffsiteTune', 'c-other')).toMatchObject({
    reason: 'BadSpec',
    message: expect.stringMatching(
      /spec\.adapter: is \{.*"type":"lora".*, and the adapter of spec\.start is/,
    ),
  });
  expect(failureOf(work, 'OffsiteTune', 'd-foreign')).toMatchObject({
    reason: 'BadModel',
    message: expect.stringMatching(/spec\.start: .*out\/z-first: was trained on emulator sha256:/),
  });
  const [first, release, afterRelease, afterTune] = [
    'z-first',
    'released',
    'a-after-release',
    'b-after-tune',
  ].map((name) => ({
    made: manifestOf(`out/${name}`),
    bytes: readFileSync(join(root, 'out', name, 'adapter.safetensors')),
  }));
  expect(first!.made.madeFrom).not.toHaveProperty('start');
  expect(afterRelease!.made.madeFrom.start).not.toBe(afterTune!.made.madeFrom.start);
  // What was released is what was trained, so both go on to the same.
  expect(release!.bytes.equals(first!.bytes)).toBe(true);
  expect(afterRelease!.bytes.equals(afterTune!.bytes)).toBe(true);
  expect(afterTune!.bytes.equals(first!.bytes)).toBe(false);
});
