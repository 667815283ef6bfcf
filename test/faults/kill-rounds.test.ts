// Two parties, two rounds of examples/rounds over a tiny model: killed in a training of each round and at the aggregation, every round
// ends with the digests of a run that nobody disturbed.
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { Project } from '../support/faults/project.ts';
import { digestIn, savedStatus } from '../support/offsite/index.ts';
import { tinyRounds, writeManifests, writeTinyRounds } from '../support/tiny/index.ts';

const parties = ['north', 'east'];
const names = [
  'rounds-emulator',
  ...[1, 2].flatMap((round) => [...parties, 'round'].map((of) => `${of}-${round}`)),
];
let project: Project;
afterEach(() => project.remove());

const digests = () => names.map((name) => digestIn(project.path('artifacts', name)));

test('rounds that are killed again and again come to the same adapters', async () => {
  const claims = ['models', 'data', 'artifacts'];
  project = new Project((root) => [
    ...['-f', join(root, 'resources.yaml')],
    ...claims.flatMap((claim) => ['--mount', `${claim}=${join(root, claim)}`]),
  ]);
  for (const claim of claims) mkdirSync(project.path(claim));
  writeTinyRounds(project.directory);
  writeManifests(project.path('resources.yaml'), tinyRounds({ parties, rounds: 2 }));

  const whole = await project.run();
  expect(whole.code, whole.stderr).toBe(0);
  const reference = digests();
  expect(new Set(reference).size).toBe(names.length);
  const madeFrom = (name: string) =>
    JSON.parse(readFileSync(project.path('artifacts', name, 'manifest.json'), 'utf8')).madeFrom;
  const [aggregate] = names.flatMap((name, i) => (name === 'round-1' ? [reference[i]] : []));
  for (const party of parties) expect(madeFrom(`${party}-2`)).toMatchObject({ start: aggregate });
  expect(madeFrom('north-1')).not.toHaveProperty('start');

  for (const place of ['artifacts', 'work']) rmSync(project.path(place), { recursive: true });
  for (const moment of [
    'renameSync .*/east-1/checkpoints/.*/step-0*2[.].*partial$',
    'renameSync .*/artifacts/[.]round-1[.].*/partial$',
    'renameSync .*/north-2/checkpoints/.*/step-0*3[.].*partial$',
  ]) {
    const ended = await project.run(project.broken({ of: moment, at: 1, action: 'after' }));
    expect(ended.signal, ended.stderr).toBe('SIGKILL');
  }
  const last = await project.run();
  expect(last.code, last.stderr).toBe(0);
  expect(digests()).toEqual(reference);
  expect(savedStatus(project.path('work'), 'OffsiteTune', 'north-2')).toMatchObject({
    training: { resumes: 1 },
  });
});
