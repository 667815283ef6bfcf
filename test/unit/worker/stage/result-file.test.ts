// What lies beside an artifact for its readers, of results that know more than the artifact says.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { Mirror } from '../../../../src/artifact/index.ts';
import type { StageJob } from '../../../../src/worker/job.ts';
import { keepResult, ResultFile, resultFileOf } from '../../../../src/worker/stage/result-file.ts';
import { tinyManifests } from '../../../support/tiny/index.ts';

const root = mkdtempSync(join(tmpdir(), 'offsite-result-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const mirror = new Mirror({ scratch: undefined, signal: new AbortController().signal });
const artifact = { uri: 'file:out', digest: 'sha256:0', sizeBytes: 1 };
const manifests = tinyManifests();
const privacy = { epsilon: '2', delta: '0.1', noiseMultiplier: '1', clipNorm: '1', samplingRate: '0.1' };
const validation = { metric: 'acc', samples: 8, cells: {} };
const trained = { steps: 8, bestStep: 4, lastLoss: '0.1', tokens: 99, resumes: 0 };

test.each<[string, keyof typeof manifests, object, object]>([
  [
    'a build that found its way',
    'build',
    {
      similarity: { adjacent: ['1'], doubts: 'equal rows' },
      plan: { kept: [0] },
      auto: { candidates: [{ agreement: '0.5' }] },
      scores: { metric: 'acc' },
      later: 'a field that nobody thought of',
    },
    { similarity: { adjacent: ['1'] }, plan: { kept: [0] }, scores: { metric: 'acc' } },
  ],
  [
    'a training',
    'tune',
    { training: trained, validation, audit: {} },
    { training: { steps: 8, bestStep: 4 }, validation },
  ],
  [
    'a training that hides its rows',
    'tune',
    { training: { ...trained, privacy: { ...privacy, clipped: '0.5' } }, validation, audit: {} },
    { training: { steps: 8, bestStep: 4, privacy } },
  ],
  [
    'a plug-in',
    'plug',
    { evaluation: [], gates: [{ message: 'tolerance 0.01' }], merge: { rounded: '0.1' } },
    { evaluation: [] },
  ],
])(
  'of a result, what lies beside the artifact is only what its files say too: %s',
  async (_, name, result, shown) => {
    const output = join(root, name);
    const job = { resource: manifests[name], mounts: { base: '/' }, stage: 'x' } as unknown as StageJob;
    Object.assign(job.resource.spec.output, { uri: `file:${output}` });
    const given = { type: 'result', stage: 'x', result: { ...result, artifact } } as const;
    const beside = await ResultFile.look(job, mirror);
    await keepResult(job, given, { identity: undefined, mirror, beside, digest: undefined, own: undefined });
    const kept = JSON.parse(readFileSync(resultFileOf(output), 'utf8')) as { result: object };
    expect(kept.result).toEqual({ ...shown, artifact });
  },
);

test("somebody's file that comes to its name while a run computes, or before its end, stays", async () => {
  const output = join(root, 'meanwhile');
  const job = { resource: manifests.tune, mounts: { base: '/' }, stage: 'x' } as unknown as StageJob;
  Object.assign(job.resource.spec.output, { uri: `file:${output}` });
  const refusal = `spec.output.uri: something came to ${output}.result.json while this resource's own was made`;
  const file = resultFileOf(output);
  const first = await ResultFile.look(job, mirror);
  writeFileSync(file, 'theirs');
  await expect(first.write({})).rejects.toThrow(refusal);
  expect(readFileSync(file, 'utf8')).toBe('theirs');
  rmSync(file);
  const beside = await ResultFile.look(job, mirror);
  await beside.write({});
  await beside.write({ digests: [] });
  writeFileSync(file, 'theirs');
  await expect(beside.write({})).rejects.toThrow(refusal);
  expect(readFileSync(file, 'utf8')).toBe('theirs');
});

test('a result without an artifact leaves the one that lies there to whose it is', async () => {
  const output = join(root, 'stays');
  const job = { resource: manifests.plug, mounts: { base: '/' }, stage: 'x' } as unknown as StageJob;
  Object.assign(job.resource.spec.output, { uri: `file:${output}` });
  const result = { type: 'result', stage: 'x', result: { evaluation: [] } } as const;
  const digest = 'sha256:lies-there';
  const said = () => JSON.parse(readFileSync(resultFileOf(output), 'utf8')) as object;
  const keep = async (found: { digest: string | undefined; own: string | undefined }) =>
    keepResult(job, result, {
      identity: undefined,
      mirror,
      beside: await ResultFile.look(job, mirror),
      ...found,
    });
  await keep({ digest, own: digest });
  expect(said()).toMatchObject({ digests: [digest], result: { evaluation: [] } });
  writeFileSync(resultFileOf(output), '{"owner": {"kind": "PlugIn", "namespace": "x", "name": "y"}}');
  await keep({ digest, own: undefined });
  expect(said()).toEqual({ owner: { kind: 'PlugIn', namespace: 'x', name: 'y' } });
  await keep({ digest: undefined, own: undefined });
  expect(said()).toMatchObject({ stage: 'x', result: { evaluation: [] } });
});
