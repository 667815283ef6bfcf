// However a command is ended from outside: its work is saved, its status says so, its exit code tells, and no process stays behind.
import { once } from 'node:events';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { workDirectory } from '../support/golden/smollm2.ts';
import {
  digestIn,
  failureOf,
  type Options,
  offsite,
  type Running,
  savedStatus,
  startOffsite,
} from '../support/offsite/index.ts';
import { Namespace } from '../support/processes/pod.ts';
import {
  setField,
  tinyManifests,
  writeManifests,
  writeTinyData,
  writeTinyModel,
} from '../support/tiny/index.ts';

const work = workDirectory();
const at = (...parts: string[]) => join(work.path, ...parts);
const preload = (name: string) => fileURLToPath(new URL(`../support/processes/${name}`, import.meta.url));
const running: Running[] = [];

beforeAll(async () => {
  writeTinyModel(at('model'));
  writeTinyData(at('data'));
  const { build, tune } = tinyManifests();
  writeManifests(at('build.yaml'), [build]);
  const built = await offsite(['run', '-f', at('build.yaml'), '--work-dir', at('built')]);
  expect(built.code, built.stderr).toBe(0);
  setField(tune, 'spec.emulator', { uri: 'file:out/emulator', digest: digestIn(at('out/emulator')) });
  setField(tune, 'spec.training', {
    steps: 1000,
    batchSize: 4,
    learningRate: '1e-4',
    checkpointSteps: 1000,
  });
  for (const name of ['reader', 'lines', 'hangup', 'wrapper']) {
    setField(tune, 'spec.output.uri', `file:out/${name}`);
    writeManifests(at(`${name}.yaml`), [tune]);
  }
});
afterEach(() => {
  for (const { child } of running.splice(0)) child.kill('SIGKILL');
});
afterAll(() => work.remove());

function start(name: string, { flags = [], ...options }: Options & { flags?: string[] } = {}): Running {
  const run = startOffsite(
    ['run', '-f', at(`${name}.yaml`), '--work-dir', at('runs', name), ...flags],
    options,
  );
  running.push(run);
  return run;
}

/** Until the stream tells of the training's progress. */
async function training({ child }: Running, stream: 'stdout' | 'stderr'): Promise<void> {
  let text = '';
  for await (const [chunk] of on(child, stream)) {
    text += String(chunk);
    if (/tune.*\d+%|"stage":"tune"/.test(text)) return;
  }
}
async function* on(child: Running['child'], stream: 'stdout' | 'stderr') {
  while (true) yield (await once(child[stream]!, 'data')) as [Buffer];
}

function expectSaved(name: string): void {
  expect(failureOf(at('runs', name), 'OffsiteTune')).toMatchObject({
    reason: 'Cancelled',
    message: 'stopped on request; run the same command again to go on',
  });
  // The optimiser's state lies in the place of the work.
  expect(globSync('**/state.json', { cwd: at('runs', name) })).not.toEqual([]);
}

test('a reader of JSON lines that goes away', async () => {
  const run = start('reader', { flags: ['--json'] });
  await training(run, 'stdout');
  run.child.stdout?.destroy();
  const { code, stderr } = await run.ended;
  expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
  expectSaved('reader');
});

test('a reader of the progress that goes away', async () => {
  const run = start('lines');
  await training(run, 'stderr');
  run.child.stderr?.destroy();
  expect(await run.ended).toMatchObject({ code: 1, signal: null });
  expectSaved('lines');
});

test('a terminal that is closed', async () => {
  const run = start('hangup');
  await training(run, 'stderr');
  run.child.kill('SIGHUP');
  expect(await run.ended).toMatchObject({ code: 1, signal: null });
  expectSaved('hangup');
});

test('the older Node that started the one of npm ci is killed: the child ends as if its terminal was gone', async () => {
  const run = start('wrapper', { preload: [preload('older-node.ts')] });
  await training(run, 'stderr');
  const { pid } = run.child;
  const [child] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ');
  run.child.kill('SIGKILL');
  await vi.waitFor(() => expect(existsSync(`/proc/${child}`)).toBe(false), {
    timeout: 120_000,
    interval: 50,
  });
  expectSaved('wrapper');
});

test('through it codes and signals pass', async () => {
  const options = { preload: [preload('older-node.ts')] };
  expect((await offsite(['digest', at('model')], options)).code).toBe(0);
  expect((await offsite(['run', '-f', at('nowhere.yaml')], options)).code).toBe(2);
  const run = start('wrapper', options);
  await training(run, 'stderr');
  run.child.kill('SIGTERM');
  expect(await run.ended).toMatchObject({ code: 1, signal: null });
  expectSaved('wrapper');
});

test.each([
  ['a second signal', ['SIGINT', 'SIGINT'], '600'],
  ['the end of the grace period', ['SIGTERM'], '1'],
] as const)('a thread that cannot be interrupted: %s ends the run at once', async (_, signals, grace) => {
  const run = start('hangup', {
    preload: [preload('stuck-thread.ts')],
    environment: { OFFSITE_GRACE_SECONDS: grace },
  });
  await once(run.child.stderr!, 'data');
  for (const [i, signal] of signals.entries()) setTimeout(() => run.child.kill(signal), i * 1500);
  const { code, signal, stderr } = await run.ended;
  expect({ code, signal }).toEqual({ code: 1, signal: null });
  expect(stderr).toContain('offsite: stopped at once; what was saved before stays');
  expect(failureOf(at('runs/hangup'), 'OffsiteTune')).toMatchObject({
    reason: 'Cancelled',
    message: 'stopped at once; run the same command again to go on from what was saved before',
  });
});

test('a thread that cannot be interrupted: a pod leaves with 143 when its grace period is over', async () => {
  const namespace = new Namespace();
  try {
    const claim = namespace.claim('team');
    writeTinyModel(join(claim, 'model'));
    writeTinyData(join(claim, 'data'));
    const { build } = tinyManifests((place) => `pvc://team/${place}`);
    const resource = {
      ...build,
      metadata: { ...build.metadata, namespace: 'team', uid: 'uid', generation: 1 },
    };
    const end = await namespace.run(
      { stage: 'probe', resource },
      {
        environment: { OFFSITE_GRACE_SECONDS: '1', NODE_OPTIONS: `--import=${preload('stuck-thread.ts')}` },
        onLine: ({ msg }, kill) => {
          if (msg === 'started') setTimeout(() => kill('SIGTERM'), 1500);
        },
      },
    );
    expect({ code: end.code, signal: end.signal }, end.text).toEqual({ code: 143, signal: null });
    expect(end.text).toContain('the grace period is over');
  } finally {
    namespace.remove();
  }
});

const intoFull = ['sh', '-c', 'exec "$@" > /dev/full', 'sh'];

test('a full device behind standard output: what is done is done, and the code tells', async () => {
  const told = 'offsite: standard output cannot be written to: ENOSPC';
  for (const args of [['crds'], ['digest', at('model')]]) {
    const { code, stderr } = await offsite(args, { through: intoFull });
    expect(code).toBe(1);
    expect(stderr).toContain(told);
  }
  const run = await offsite(['run', '-f', at('build.yaml'), '--work-dir', at('full')], { through: intoFull });
  expect(run.code).toBe(1);
  expect(run.stderr).toContain(told);
  expect(savedStatus(at('full'), 'EmulatorBuild').phase).toBe('Complete');
});

test('a reader of what is printed that goes away ends it without a word', async () => {
  const run = startOffsite(['crds'], { through: ['sh', '-c', 'sleep 1; exec "$@"', 'sh'] });
  run.child.stdout?.destroy();
  const { code, stderr } = await run.ended;
  expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
});
