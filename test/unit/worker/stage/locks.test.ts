/** A lock beside an output tells its readers whose it is, and nothing by which a guess about the private rows is confirmed. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { fingerprint, hashOfSpec, parseResource } from '../../../../src/api/index.ts';
import { lockTimes, Mirror } from '../../../../src/artifact/index.ts';
import type { StageJob } from '../../../../src/worker/job.ts';
import { podWork } from '../../../../src/worker/pod/pod-job.ts';
import { HeldPlaces } from '../../../../src/worker/stage/locks.ts';
import { tinyManifests } from '../../../support/tiny/index.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'offsite-locks-'));
  mkdirSync(join(root, 'shared'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const uid = '3f1c9a52-7d0e-4c55-9a37-0c8f1b2e6d41';
const { tune } = tinyManifests((place) => `pvc://shared/${place}`);

const hold = (signal: AbortSignal, run = uid) => {
  const resource = parseResource(tune, 'test');
  const mounts = { claims: { shared: join(root, 'shared') }, confined: true, base: '/' };
  const job: StageJob = { stage: 'tune', resource, mounts, inputs: {} };
  const mirror = new Mirror({ scratch: join(root, 'scratch'), signal });
  return HeldPlaces.take(job, { mirror, emit: () => {}, signal, run, times: lockTimes(60_000) });
};

it('a lock does not tell the uid, held and released; the next pod of the same resource takes it at once', async () => {
  const { signal } = new AbortController();
  const first = await hold(signal);
  const texts = () =>
    readdirSync(root, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.parentPath.endsWith('.offsite-lock'))
      .map(({ parentPath, name }) => readFileSync(join(parentPath, name), 'utf8'));
  expect(texts().length).toBeGreaterThan(0);
  for (const text of texts()) expect(text).not.toContain(uid);
  const second = await hold(AbortSignal.timeout(5000));
  for (const text of texts()) expect(text).not.toContain(uid);
  await second.release();
  await first.release();
  for (const text of texts()) expect(text).not.toContain(uid);
});

it('an identity is another for each uid: who has the spec and guesses the rows has nothing to compare', () => {
  const identityOf = (id: string) => {
    const written = { ...tune, metadata: { ...(tune['metadata'] as object), namespace: 'data', uid: id } };
    const OFFSITE_JOB = JSON.stringify({
      stage: 'tune',
      resource: written,
      emulator: { uri: 'pvc://shared/e', digest: `sha256:${'e'.repeat(64)}` },
    });
    return podWork({ job: OFFSITE_JOB, claims: root, scratch: root } as never).identity;
  };
  expect(identityOf(uid)).toBe(identityOf(uid));
  expect(identityOf(uid)).not.toBe(identityOf(`${uid.slice(0, -1)}2`));
  // A lock's own mark of a uid leads to neither.
  const spec = tune['spec'] as object;
  expect(hashOfSpec('OffsiteTune', fingerprint({ lockOf: uid }), spec)).not.toBe(
    hashOfSpec('OffsiteTune', uid, spec),
  );
});
