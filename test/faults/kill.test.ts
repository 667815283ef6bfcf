// Runs that are killed with SIGKILL end with the digests of the run that never was: at random moments, and at random
// calls that change the file system (before one, after half of its bytes, or right after it).
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { callsOf, Project } from '../support/faults/project.ts';
import { drawFor, faultRuns } from '../support/faults/seed.ts';
import { setField, writeTinyProject } from '../support/tiny/index.ts';

const project = new Project();
let reference: ReturnType<Project['digests']>;
let milliseconds = 0;
/** Numbers of the calls that do the same to the same file. */
let calls: number[][] = [];

beforeAll(async () => {
  writeTinyProject(project.directory, {
    model: { hidden: 64, intermediate: 192, layers: 6 },
    change: ({ tune }) => setField(tune, 'spec.training.steps', 12),
  });
  const first = await project.run(project.broken({}));
  expect(first.stderr).toContain('PlugIn tiny  Complete');
  reference = project.digests();
  milliseconds = first.milliseconds;
  const groups = new Map<string, number[]>();
  for (const [i, call] of callsOf(project).entries()) groups.set(call, [...(groups.get(call) ?? []), i + 1]);
  calls = [...groups.values()];
});
afterAll(() => project.remove());

async function expectSameEnd(): Promise<void> {
  const last = await project.run();
  expect(last.code, last.stderr).toBe(0);
  expect(project.digests()).toEqual(reference);
  expect(project.leftovers()).toEqual([]);
}

test('a second run returns what is there, one from nothing makes the same', async () => {
  expect(Object.values(reference).every((digest) => digest?.startsWith('sha256:'))).toBe(true);
  await expectSameEnd();
  project.forget();
  await expectSameEnd();
});

test('killed at random moments, up to three times a run', async () => {
  const random = drawFor('random moments');
  for (let run = 0; run < faultRuns; run++) {
    project.forget();
    const kills = 1 + random.below(3);
    for (let kill = 0; kill < kills; kill++) {
      const { child, ended } = project.start();
      await Promise.race([sleep(random.below(Math.ceil(milliseconds)), undefined, { ref: false }), ended]);
      child.kill('SIGKILL');
      await ended;
    }
    await expectSameEnd();
  }
});

test('killed at random calls that change files, again and again until it is through', async () => {
  const random = drawFor('random calls');
  project.forget();
  const struck: string[] = [];
  while (struck.length < 5 * faultRuns) {
    const action = (['kill', 'torn', 'after'] as const)[random.below(3)]!;
    const group = calls[random.below(calls.length)]!;
    const ended = await project.run(project.broken({ at: group[random.below(group.length)]!, action }));
    if (ended.signal === 'SIGKILL') {
      struck.push(`  ${action}: ${callsOf(project).at(-1)}`);
      continue;
    }
    // It got through before its number came up: once more from nothing.
    expect(ended.code, ended.stderr).toBe(0);
    expect(project.digests()).toEqual(reference);
    project.forget();
  }
  console.log(struck.join('\n'));
  await expectSameEnd();
});
