// What an output in a store lies in: whatever lies at the names of manifests there, a run goes on or says what is wrong.
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { type Mirror, sealArtifact } from '../../../../src/artifact/index.ts';
import type { StageJob } from '../../../../src/worker/job.ts';
import { outputOf } from '../../../../src/worker/places.ts';
import { checkSurroundings } from '../../../../src/worker/stage/surroundings.ts';
import { tinyManifests } from '../../../support/tiny/index.ts';

const root = mkdtempSync(join(tmpdir(), 'offsite-surroundings-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const { tune } = tinyManifests();
const spec = { ...(tune['spec'] as object), output: { uri: 's3://bucket/a/b/adapter' } };
const job = {
  resource: { ...tune, spec },
  stage: 'tune',
  mounts: { volumes: {}, scratch: root },
} as unknown as StageJob;
const above = dirname(outputOf(job));

const mirror = (bring: (file: string) => void) =>
  ({
    mirrors: (path: string) => path.startsWith(dirname(above)),
    pullDocument: async (file: string) => bring(file),
  }) as unknown as Mirror;

it('objects below the name of a manifest there are no artifact, and end no run', async () => {
  await checkSurroundings(
    job,
    mirror((file) => {
      mkdirSync(file, { recursive: true });
      writeFileSync(join(file, 'x'), 'x');
    }),
  );
  expect(existsSync(join(above, 'manifest.json'))).toBe(false);
});

it('an artifact there is named, and no copy of its manifest stays', async () => {
  const bring = (file: string) => {
    if (dirname(file) !== above) return;
    mkdirSync(above, { recursive: true });
    sealArtifact(above, { kind: 'Model', madeFrom: {}, hyperparameters: {} });
  };
  await expect(checkSurroundings(job, mirror(bring))).rejects.toThrow('is an artifact of kind Model');
  expect(existsSync(join(above, 'manifest.json'))).toBe(false);
});
