// Training that goes on from a checkpoint of an adapter's tensors, not of the weights that they come to, ends with the same
// digests; the numbers that dropout leaves out are drawn anew, and are the same. Without transfer layers the emulator's are factors.
import { globSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { Project } from '../support/faults/project.ts';
import { drawFor } from '../support/faults/seed.ts';
import { savedStatus } from '../support/offsite/index.ts';
import { setField, writeTinyProject } from '../support/tiny/index.ts';

const steps = 16;
let project: Project;
afterEach(() => project.remove());

/** The last step that has a whole checkpoint; 0 before there is one. */
function newestStep(): number {
  const names = globSync('checkpoints/*/*', { cwd: project.work('OffsiteTune') });
  return Math.max(0, ...names.map((name) => Number(/\/step-(\d+)$/.exec(name)?.[1] ?? 0)));
}

test.each([
  { adapter: { type: 'lora', rank: 2 }, count: 2 },
  { adapter: { type: 'lora', rank: 2, dropout: '0.3', head: true }, count: 0 },
  { adapter: { type: 'bottleneck', size: 8 }, count: 2 },
])('killed at some step: $adapter, $count transfer layers', async ({ adapter, count }) => {
  project = new Project();
  writeTinyProject(project.directory, {
    change: ({ build, tune, plug }) => {
      setField(build, 'spec.transferLayers', { count });
      if (count === 0) setField(build, 'spec.compression', { type: 'lowRank', ratio: '0.5' });
      setField(tune, 'spec.adapter', adapter);
      setField(tune, 'spec.training.steps', steps);
      setField(tune, 'spec.training.checkpointSteps', 1);
      setField(plug, 'spec.output.save', 'adapter');
    },
  });
  const whole = await project.run();
  expect(whole.code, whole.stderr).toBe(0);
  const reference = project.digests();

  project.forget('adapter', 'model');
  project.forgetWork('OffsiteTune');
  const step = 1 + drawFor(JSON.stringify(adapter)).below(steps - 4);
  const { child, ended } = project.start();
  while (newestStep() < step && child.exitCode === null) await sleep(1);
  child.kill('SIGKILL');
  expect((await ended).signal).toBe('SIGKILL');
  expect(project.digests()['adapter']).toBeUndefined();

  const last = await project.run();
  expect(last.code, last.stderr).toBe(0);
  expect(project.digests()).toEqual(reference);
  expect(savedStatus(project.path('work'), 'OffsiteTune', 'tiny')).toMatchObject({
    training: { resumes: 1 },
  });
});
