// A training that hides its rows draws them, and the noise, from a key that is kept with its checkpoints: killed at some step it goes on
// to the digest that it would have come to.
import { globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { Project } from '../support/faults/project.ts';
import { drawFor } from '../support/faults/seed.ts';
import { savedStatus } from '../support/offsite/index.ts';
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
