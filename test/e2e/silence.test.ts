import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { workDirectory } from '../support/golden/smollm2.ts';
import { offsite } from '../support/offsite/index.ts';
import { counting, triesIn, triesOf, withoutNetwork } from '../support/processes/no-network.ts';
import { Namespace } from '../support/processes/pod.ts';
import { tinyManifests, writeTinyData, writeTinyModel, writeTinyProject } from '../support/tiny/index.ts';

let work: ReturnType<typeof workDirectory>;
const cleanUp: (() => unknown)[] = [];

beforeEach(() => {
  work = workDirectory();
  for (const directory of ['home', 'theirs', 'tmp']) mkdirSync(join(work.path, directory));
});
afterEach(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step();
  work.remove();
});

/** A home and a place for temporary files that are empty, and nothing that turns telemetry off. */
const bare = () => ({
  PATH: process.env['PATH'] ?? '',
  HOME: join(work.path, 'home'),
  TMPDIR: join(work.path, 'tmp'),
});

const left = () => ['home', 'tmp'].flatMap((directory) => readdirSync(join(work.path, directory)));

async function hold(who: 'engine' | 'library', home: string): Promise<ChildProcess & { pid: number }> {
  const script = fileURLToPath(new URL('../support/processes/hold-session.ts', import.meta.url));
  const [program, ...args] = [...withoutNetwork, process.execPath, script, who];
  const child = spawn(program, args, {
    env: { ...bare(), HOME: join(work.path, home) },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  cleanUp.push(() => {
    child.kill('SIGKILL');
    return child.exitCode === null && child.signalCode === null ? once(child, 'close') : undefined;
  });
  await once(child.stdout, 'data');
  return child as ChildProcess & { pid: number };
}

test('a session of the library calls home, one of the engine does not, and leaves nothing in the home directory', async () => {
  const [library, engine] = await Promise.all([hold('library', 'theirs'), hold('engine', 'home')]);
  await vi.waitFor(() => expect(triesOf(library.pid)).toBeGreaterThan(0), {
    timeout: 120_000,
    interval: 200,
  });
  expect(readdirSync(join(work.path, 'theirs'))).not.toEqual([]);
  expect(triesOf(engine.pid)).toBe(0);
  expect(readdirSync(join(work.path, 'home'))).toEqual([]);
});

test('a run of the three resources reaches for nothing, and leaves nothing at home', async () => {
  writeTinyProject(work.path);
  const counters = join(work.path, 'counters');
  const { code, stderr } = await offsite(
    ['run', '-f', join(work.path, 'resources.yaml'), '--work-dir', join(work.path, 'run')],
    { through: counting(counters), environment: { ...bare(), ORT_DISABLE_TELEMETRY: '' } },
  );
  expect(code, stderr).toBe(0);
  expect(triesIn(readFileSync(counters, 'utf8'))).toBe(0);
  expect(left()).toEqual([]);
});

test('a pod reaches for nothing, and leaves nothing at home', async () => {
  const namespace = new Namespace();
  cleanUp.push(() => namespace.remove());
  const claim = namespace.claim('team');
  writeTinyModel(join(claim, 'model'));
  writeTinyData(join(claim, 'data'));
  const { build } = tinyManifests((place) => `pvc://team/${place}`);
  const resource = {
    ...build,
    metadata: { ...build.metadata, namespace: 'team', uid: 'uid', generation: 1 },
  };
  const counters = join(work.path, 'counters');
  const end = await namespace.run(
    { stage: 'probe', resource },
    { through: counting(counters), environment: bare() },
  );
  expect(end.code, end.text).toBe(0);
  expect(triesIn(readFileSync(counters, 'utf8'))).toBe(0);
  expect(left()).toEqual([]);
});
