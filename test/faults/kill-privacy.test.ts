// A training that hides its rows draws them, and the noise, from a key that is kept with its checkpoints: killed at some step it goes on
// to the digest that it would have come to.
import { globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { Project } from '../support/faults/project.ts';
import { drawFor } from '../support/faults/seed.ts';
import { digestIn, savedStatus } from '../support/offsite/index.ts';
import { setField, writeManifests, writeTinyProject } from '../support/tiny/index.ts';

const steps = 12;
let project: Project;
afterEach(() => project.remove());

const found = (pattern: string) => globSync(pattern, { cwd: project.work('OffsiteTune') });
const newestStep = () =>
  Math.max(0, ...found('checkpoints/*/*').map((name) => Number(/\/step-(\d+)$/.exec(name)?.[1] ?? 0)));

test('killed at some step', async () => {
  project = new Project();
  const { build, tune } = writeTinyProject(project.directory);
  setField(tune, 'spec.adapter', { type: 'lora', rank: 2 });
  setField(tune, 'spec.training.steps', steps);
  setField(tune, 'spec.training.checkpointSteps', 1);
  setField(tune, 'spec.privacy', { epsilon: '8' });
  writeManifests(project.path('resources.yaml'), [build, tune]);
  const step = drawFor('privacy').below(steps - 4);
  const { child, ended } = project.start();
  // Also before there is any checkpoint: the key alone.
  while ((found('checkpoints/*/noise-key').length === 0 || newestStep() < step) && child.exitCode === null)
    await sleep(1);
  child.kill('SIGKILL');
  expect((await ended).signal).toBe('SIGKILL');
  const [key] = found('checkpoints/*/noise-key');
  const secret = readFileSync(join(project.work('OffsiteTune'), key!));

  const last = await project.run();
  expect(last.code, last.stderr).toBe(0);
  const resumed = project.digests();
  expect(found('**/noise-key')).toEqual([]);

  // The same key, and nothing else of what was done.
  project.forget('adapter', 'adapter.result.json');
  project.forgetWork('OffsiteTune');
  const file = join(project.work('OffsiteTune'), key!);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, secret);
  expect((await project.run()).code).toBe(0);
  expect(project.digests()).toEqual(resumed);
  expect(savedStatus(project.path('work'), 'OffsiteTune', 'tiny')).toMatchObject({
    training: { resumes: 0, privacy: { epsilon: expect.stringMatching(/^(8\.0000|7\.99..)$/) as string } },
  });
});

test('killed while its adapter is handed over, and run again after another spec of the same work place', async () => {
  project = new Project();
  const { build, tune } = writeTinyProject(project.directory);
  setField(tune, 'spec.adapter', { type: 'lora', rank: 2 });
  setField(tune, 'spec.privacy', { epsilon: '8' });
  const other = structuredClone(tune);
  setField(other, 'spec.training.seed', 7);
  setField(other, 'spec.output.uri', 'file:out/another');
  const run = (resource: typeof tune, options?: Parameters<Project['run']>[0]) => {
    writeManifests(project.path('resources.yaml'), [build, resource]);
    return project.run(options);
  };
  // Whole beside its output, and not there yet.
  const of = String.raw`^renameSync .*/\.adapter\.offsite-[0-9a-f]{16}/partial$`;
  const killed = await run(tune, project.broken({ of, at: 1, action: 'kill' }));
  expect(killed.signal).toBe('SIGKILL');
  const [left] = globSync('out/.adapter.offsite-*/partial', { cwd: project.directory });
  const digest = digestIn(project.path(left!));
  expect(digest).toMatch(/^sha256:/);

  expect((await run(other)).code).toBe(0);
  expect(found('checkpoints/*/noise-key')).toEqual([]);
  const again = await run(tune);
  expect(again.code, again.stdout).toBe(0);
  expect(digestIn(project.path('out/adapter'))).toBe(digest);
  expect(project.leftovers()).toEqual([]);
  expect((await run(tune)).code).toBe(0);
});
