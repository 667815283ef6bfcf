/** A training that hides its rows is refused where its key would be lost with its pod, before anything is asked or computed. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { parseResource } from '../../../../src/api/index.ts';
import type { StageJob } from '../../../../src/worker/job.ts';
import { runStage } from '../../../../src/worker/stage/run-stage.ts';
import { tinyManifests } from '../../../support/tiny/index.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'offsite-not-kept-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** Its output lies in a store, at an address that nobody answers at; its rows lie nowhere. */
function job(changes: object, work?: string): StageJob {
  const { tune } = tinyManifests((place) => `pvc://data/${place}`);
  const emulator = { uri: 'pvc://data/out/emulator', digest: `sha256:${'e'.repeat(64)}` };
  const spec = { ...tune.spec, emulator, output: { uri: 's3://exchange/adapter' }, ...changes };
  return {
    ...{ stage: 'tune', resource: parseResource({ ...tune, spec }, 'test'), inputs: { emulator } },
    mounts: {
      claims: { data: join(root, 'data') },
      ...{ scratch: join(root, 'scratch'), confined: true, base: '/', work },
    },
  };
}

/** How the stage ends; no key opens the store, so what is not refused goes no further than there. */
async function ended(stage: StageJob) {
  const outcome = await runStage(stage, () => {}, new AbortController().signal, {
    secrets: join(root, 'none'),
  });
  if (outcome.ok) throw new Error('was done');
  return outcome;
}

const refused =
  /^spec\.work: is absent and the output lies in a store.*under spec\.privacy each pod would draw another noise.*name a place that only its owner keeps$/;

it.each([{ epsilon: '8' }, { noiseMultiplier: '1' }])('with privacy %j', async (privacy) => {
  expect(await ended(job({ privacy }))).toMatchObject({
    reason: 'BadSpec',
    exitCode: 10,
    message: expect.stringMatching(refused) as string,
  });
});

it.each<[string, object, string?]>([
  ['no privacy is asked for', {}],
  ['nothing is hidden', { privacy: { epsilon: 'infinity' } }],
  ['spec.work names a place', { privacy: { epsilon: '8' }, work: { uri: 'pvc://data/work' } }],
  ['the installation has a place', { privacy: { epsilon: '8' } }, '/work'],
])('not where %s', async (_, changes, work) => {
  expect((await ended(job(changes, work))).message).not.toMatch(/^spec\.work/);
});
