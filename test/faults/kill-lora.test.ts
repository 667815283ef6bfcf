// Training that goes on from a checkpoint of LoRA's factors, not of the weights that they come to, ends with the same digests.
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, expect, test } from 'vitest';
import { setField, writeTinyProject } from '../tiny/index.ts';
import { Project } from './project.ts';

const project = new Project();
afterAll(() => project.remove());

test('killed between two checkpoints', async () => {
  writeTinyProject(project.directory, {
    change: ({ tune }) => {
      setField(tune, 'spec.adapter', { type: 'lora', rank: 2 });
      setField(tune, 'spec.training.steps', 16);
    },
  });
  const whole = await project.run();
  expect(whole.code, whole.stderr).toBe(0);
  const reference = project.digests();

  project.forget('adapter', 'adapter.checkpoints', 'model');
  const { child, ended } = project.start();
  while (!existsSync(project.path('out', 'adapter.checkpoints', 'step-00000004')) && child.exitCode === null)
    await sleep(1);
  child.kill('SIGKILL');
  expect((await ended).signal).toBe('SIGKILL');
  expect(project.digests()['adapter']).toBeUndefined();

  const last = await project.run();
  expect(last.code, last.stderr).toBe(0);
  expect(project.digests()).toEqual(reference);
});
