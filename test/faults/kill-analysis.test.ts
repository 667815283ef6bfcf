// A PlugIn that is killed in the middle of its analyses goes on where it was: no evaluation is made twice.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { setField, writeTinyProject } from '../tiny/index.ts';
import { callsOf, Project } from './project.ts';

const project = new Project();
afterAll(() => project.remove());
let reference: ReturnType<Project['digests']>;
/** Numbers of the calls that write what is kept, and of those that give it its name: the cells, each variant, the end. */
let writing: number[] = [];
let keeping: number[] = [];

const numbers = (calls: readonly string[], pattern: RegExp) =>
  calls.flatMap((call, i) => (pattern.test(call) ? [i + 1] : []));
const writes = /^writeFileSync .*analysis\.json/;
const renames = /^renameSync .*analysis\.json/;

beforeAll(async () => {
  writeTinyProject(project.directory, {
    change: ({ plug }) => setField(plug, 'spec.analysis', { interpolation: {}, layerImportance: {} }),
  });
  const first = await project.run(project.broken({}));
  expect(first.code, first.stderr).toBe(0);
  reference = project.digests();
  writing = numbers(callsOf(project), writes);
  keeping = numbers(callsOf(project), renames);
});

test('each evaluation is kept once', () => {
  expect(keeping.length).toBe(1 + 9 + 5 + 2 + 1);
  expect(writing.length).toBe(keeping.length);
});

test.each([
  ['kill', () => keeping[5], 5],
  ['after', () => keeping[5], 6],
  ['torn', () => writing[12], 12],
] as const)('%s: what was kept stays, and the digest is the same', async (action, call, kept) => {
  project.forget();
  const killed = await project.run(project.broken({ at: call()!, action }));
  expect(killed.signal).toBe('SIGKILL');
  const resumed = await project.run(project.broken({}));
  expect(resumed.code, resumed.stderr).toBe(0);
  expect(numbers(callsOf(project), renames).length).toBe(keeping.length - kept);
  expect(project.digests()).toEqual(reference);
  expect(project.leftovers()).toEqual([]);
});
