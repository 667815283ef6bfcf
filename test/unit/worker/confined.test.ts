import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { parseResource } from '../../../src/api/index.ts';
import { checkConfined } from '../../../src/worker/confined.ts';
import type { StageJob } from '../../../src/worker/job.ts';
import { tinyManifests } from '../../tiny/index.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'offsite-confined-'));
  for (const place of ['shared/model', 'shared/data', 'shared/out', 'private'])
    mkdirSync(join(root, place), { recursive: true });
  writeFileSync(join(root, 'shared/model/config.json'), '{}');
  writeFileSync(join(root, 'shared/data/probe.jsonl'), '{}');
  writeFileSync(join(root, 'private/rows.jsonl'), '{}');
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function job({ confined = true } = {}): StageJob {
  const { build } = tinyManifests((place) => `pvc://shared/${place}`);
  const claims = { shared: join(root, 'shared'), private: join(root, 'private') };
  return { stage: 'probe', resource: parseResource(build, 'test'), mounts: { claims, confined, base: '/' } };
}

it.each([
  ['a file that is read', 'spec.probe.data.uri', 'shared/data/probe.jsonl', 'private/rows.jsonl'],
  ['a directory on the way', 'spec.probe.data.uri', 'shared/data', 'private'],
  ['a file in a model', 'spec.model.uri', 'shared/model/LICENSE', 'private/rows.jsonl'],
  ['a directory in a model', 'spec.model.uri', 'shared/model/more', 'private'],
  ['the output', 'spec.output.uri', 'shared/out', 'private'],
])('a link in place of %s that leads to another claim is refused', (_, field, link, target) => {
  writeFileSync(join(root, 'private/probe.jsonl'), '{}');
  rmSync(join(root, link), { recursive: true, force: true });
  symlinkSync(join(root, target), join(root, link));
  expect(() => checkConfined(job())).toThrow(
    expect.objectContaining({
      reason: 'BadSpec',
      message: expect.stringMatching(new RegExp(`^${field}: a symbolic link leads from .* out of its claim`)),
    }),
  );
  checkConfined(job({ confined: false }));
});

it('links within the claim are taken, around in a circle too', () => {
  mkdirSync(join(root, 'shared/blobs'));
  writeFileSync(join(root, 'shared/blobs/1'), 'weights');
  symlinkSync('../blobs/1', join(root, 'shared/model/model.safetensors'));
  symlinkSync('..', join(root, 'shared/model/up'));
  checkConfined(job());
});
