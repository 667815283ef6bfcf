// SIGTERM: the run saves its work and leaves within a second or two, and the same command goes on to the same digests.
import { globSync } from 'node:fs';
import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { callsOf, Project } from '../support/faults/project.ts';
import { failureOf, type Options, savedStatus } from '../support/offsite/index.ts';
import { setField, tinyRows, writeRows, writeTinyProject } from '../support/tiny/index.ts';

/** Seconds that leaving may take: one or two, and much more where the disk stalls; a stage goes on for longer. */
const patience = 30;
const project = new Project((directory) => ['-f', `${directory}/resources.yaml`, '--json']);
let reference: ReturnType<Project['digests']>;
let calls: string[];

beforeAll(async () => {
  writeTinyProject(project.directory, {
    model: { hidden: 128, intermediate: 512, layers: 8 },
    change: ({ build, tune }) => {
      setField(build, 'spec.probe.samples', 40);
      setField(tune, 'spec.training', {
        ...{ steps: 8, batchSize: 4, learningRate: '1e-2', maxLength: 128 },
        ...{ evalSteps: 4, checkpointSteps: 100 },
      });
    },
  });
  // Enough rows that a stage is caught while it computes.
  writeRows(project.path('data/probe.jsonl'), tinyRows.text(60, 1));
  writeRows(project.path('data/validation.jsonl'), tinyRows.multipleChoice(30, 3));
  writeRows(project.path('data/test.jsonl'), tinyRows.multipleChoice(40, 4));
  const whole = await project.run(project.broken({}));
  expect(whole.code, whole.stdout).toBe(0);
  reference = project.digests();
  calls = callsOf(project);
});
afterAll(() => project.remove());

interface Stopped {
  code: number | null;
  signal: NodeJS.Signals | null;
  milliseconds: number;
}

/** Starts from nothing and sends SIGTERM at the first progress of the last of these stages that follows the others'. */
async function stoppedAt(stages: readonly string[], again?: number): Promise<Stopped> {
  project.forget();
  const awaited = [...stages];
  let sent = 0;
  const onLine: Options['onLine'] = (line, child) => {
    if (awaited.length === 0 || !line.includes(`"stage":"${awaited[0]}`) || !line.includes('"progress"'))
      return;
    awaited.shift();
    if (awaited.length > 0) return;
    child.kill('SIGTERM');
    sent = performance.now();
    if (again !== undefined) setTimeout(() => child.kill('SIGTERM'), again);
  };
  const ended = await project.start({ onLine }).ended;
  expect(sent, ended.stdout).toBeGreaterThan(0);
  return { code: ended.code, signal: ended.signal, milliseconds: performance.now() - sent };
}

function expectLeft({ code, signal, milliseconds }: Stopped, kind: string): void {
  console.log(`  ${kind}: left ${Math.round(milliseconds)} ms after SIGTERM`);
  expect({ code, signal }).toEqual({ code: 1, signal: null });
  expect(milliseconds).toBeLessThan(patience * 1000);
  const { reason, message } = failureOf(project.path('work'), kind);
  expect(reason).toBe('Cancelled');
  expect(message).toContain('run the same command again to go on');
}

async function expectSameEnd(): Promise<void> {
  const last = await project.run();
  expect(last.code, last.stdout).toBe(0);
  expect(project.digests()).toEqual(reference);
  expect(project.leftovers()).toEqual([]);
}

const checkpoints = () =>
  globSync('checkpoints/*/*', { cwd: project.work('OffsiteTune') }).map((path) => basename(path));

test('in the probe', async () => {
  expectLeft(await stoppedAt(['probe']), 'EmulatorBuild');
  expect(Object.values(project.digests())).toEqual([undefined, undefined, undefined]);
  await expectSameEnd();
});

test('in training: a checkpoint is there although none was due, and training goes on from it', async () => {
  expectLeft(await stoppedAt(['tune']), 'OffsiteTune');
  expect(checkpoints()).toEqual([expect.stringMatching(/^step-000000\d\d$/)]);
  await expectSameEnd();
  const { training } = savedStatus(project.path('work'), 'OffsiteTune') as unknown as {
    training: { resumes: number };
  };
  expect(training.resumes).toBe(1);
});

test('in an evaluation: it is made again, so that the same step is the best', async () => {
  // The first evaluation is the zero-shot one, before any step.
  expectLeft(await stoppedAt(['evaluate', 'tune', 'evaluate']), 'OffsiteTune');
  await expectSameEnd();
});

test('in plugging in', async () => {
  expectLeft(await stoppedAt(['plug']), 'PlugIn');
  const { model, ...others } = project.digests();
  expect(model).toBeUndefined();
  expect(others).toEqual({ emulator: reference['emulator'], adapter: reference['adapter'] });
  await expectSameEnd();
});

test('a second SIGTERM right after the first changes nothing', async () => {
  expectLeft(await stoppedAt(['tune'], 50), 'OffsiteTune');
  expect(checkpoints().length).toBe(1);
  await expectSameEnd();
});

test('a second SIGTERM later leaves at once, also when the disk does not answer', async () => {
  project.forget();
  const at = calls.findIndex((call) => /^fsyncSync out\/\.adapter\.offsite-\w+\/partial/.test(call)) + 1;
  expect(at).toBeGreaterThan(0);
  const { child, ended } = project.start(project.broken({ at, action: 'hang' }));
  while (callsOf(project).length < at && child.exitCode === null) await sleep(50);
  expect(child.exitCode).toBeNull();
  child.kill('SIGTERM');
  await sleep(1500);
  expect(child.exitCode).toBeNull();
  child.kill('SIGTERM');
  const sent = performance.now();
  const { code, signal, stderr } = await ended;
  expect({ code, signal }).toEqual({ code: 1, signal: null });
  expect(performance.now() - sent).toBeLessThan(patience * 1000);
  expect(stderr).toContain('stopped at once; what was saved before stays');
  await expectSameEnd();
});
