// A PlugIn that is killed or stopped in the middle of its analyses goes on where it was, also on another machine: no
// evaluation is made twice.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { callsOf, Project } from '../support/faults/project.ts';
import { digestIn, failureOf, type Options, offsite, startOffsite } from '../support/offsite/index.ts';
import { S3Server } from '../support/servers/s3-server.ts';
import { setField, tinyRows, writeRows, writeTinyProject } from '../support/tiny/index.ts';

const project = new Project((directory) => ['-f', `${directory}/resources.yaml`, '--json']);
afterAll(() => project.remove());
let reference: ReturnType<Project['digests']>;
/** Numbers of the calls that write what is kept, and of those that give it its name: the cells, each variant, the end. */
let writing: number[] = [];
let keeping: number[] = [];

const numbers = (calls: readonly string[], pattern: RegExp) =>
  calls.flatMap((call, i) => (pattern.test(call) ? [i + 1] : []));
const writes = /^writeFileSync (?!.*\.notes).*analysis\.json/;
const renames = /^renameSync (?!.*\.notes).*analysis\.json/;

beforeAll(async () => {
  writeTinyProject(project.directory, {
    model: { hidden: 128, intermediate: 512 },
    change: ({ plug }) => setField(plug, 'spec.analysis', { interpolation: {}, layerImportance: {} }),
  });
  writeRows(project.path('data/test.jsonl'), tinyRows.multipleChoice(40, 4));
  const first = await project.run(project.broken({}));
  expect(first.code, first.stdout).toBe(0);
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
  expect(resumed.code, resumed.stdout).toBe(0);
  expect(numbers(callsOf(project), renames).length).toBe(keeping.length - kept);
  expect(project.digests()).toEqual(reference);
  expect(project.leftovers()).toEqual([]);
});

test('SIGTERM while layers are deleted: it leaves soon, and what was kept stays', async () => {
  project.forget();
  let sent = 0;
  const onLine: Options['onLine'] = (line, child) => {
    if (sent > 0 || !line.includes('"stage":"plug: layers deleted"')) return;
    child.kill('SIGTERM');
    sent = performance.now();
  };
  const stopped = await project.start({ onLine }).ended;
  expect(sent, stopped.stdout).toBeGreaterThan(0);
  expect(performance.now() - sent).toBeLessThan(30_000);
  expect(stopped.code).toBe(1);
  expect(failureOf(project.path('work'), 'PlugIn').reason).toBe('Cancelled');
  const resumed = await project.run(project.broken({}));
  expect(resumed.code, resumed.stdout).toBe(0);
  // the cells and the whole line are kept
  expect(numbers(callsOf(project), renames).length).toBeLessThanOrEqual(keeping.length - 10);
  expect(project.digests()).toEqual(reference);
});

test('killed with its output in a store: another machine goes on with what the store has', async () => {
  const server = await S3Server.start('artifacts');
  const uri = 's3://artifacts/team/model';
  const text = readFileSync(project.path('resources.yaml'), 'utf8').replace(
    '  output:\n    uri: file:out/model',
    `  work:\n    uri: s3://artifacts/work\n  output:\n    uri: ${uri}`,
  );
  writeFileSync(project.path('stored.yaml'), text);
  const args = (machine: string) => [
    ...['run', '-f', project.path('stored.yaml'), '--work-dir', project.path(machine), '--json'],
  ];
  try {
    const stored = (options: Options): Options => ({
      ...options,
      environment: { ...options.environment, ...server.credentials },
    });
    const file = server.fileOf('artifacts', 'work/plugin/default/tiny/analysis.json');
    const kept = () => {
      if (!existsSync(file)) return 0;
      const { evaluation, measured } = JSON.parse(readFileSync(file, 'utf8')) as {
        evaluation?: unknown;
        measured: object;
      };
      return Object.keys(measured).length + Number(evaluation !== undefined);
    };
    const most = 8;
    // It hangs before it keeps one more, so that the store has them all when it is killed.
    const hangs = project.broken({ of: renames.source, at: most + 1, action: 'hang' });
    const first = startOffsite(args('here'), stored(hangs));
    while (kept() < most && first.child.exitCode === null) await sleep(5);
    first.child.kill('SIGKILL');
    expect((await first.ended).signal).toBe('SIGKILL');

    const second = await offsite(args('there'), stored(project.broken({})));
    expect(second.code, second.stdout).toBe(0);
    expect(numbers(callsOf(project), writes).length).toBe(keeping.length - most);
    expect(digestIn(server.fileOf('artifacts', 'team/model'))).toBe(reference['model']);
  } finally {
    await server.remove();
  }
});
