// What a run may write over in its work dir, and a report at its place: earlier ones of ours, and nothing else.
import { existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DiskLock, lockTimes, takeLock } from '../../src/artifact/index.ts';
import { offsite, savedStatus, startOffsite } from '../support/offsite/index.ts';
import { setField, type TinyManifests, writeManifests, writeTinyProject } from '../support/tiny/index.ts';

let root: string;
let manifests: TinyManifests;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'offsite-work-dir-'));
  manifests = writeTinyProject(root);
  writeManifests(join(root, 'build.yaml'), [manifests.build]);
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const run = (workDir: string, file = join(root, 'build.yaml')) =>
  offsite(['run', '-f', file, '--work-dir', workDir]);

function write(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}

const kept = 'emulatorbuild/tiny/resource.yaml';

test.each(['report.html', 'run.json', kept])(
  "somebody's own %s in what he names as --work-dir stays, and the run says so",
  async (name) => {
    const workDir = join(root, `own-${name.replaceAll('/', '-')}`);
    write(join(workDir, name), '{"mine": 1}');
    write(join(workDir, `${name}.tmp`), 'mine too');
    const refused = await run(workDir);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toBe(
      `--work-dir ${workDir}: nothing says that an earlier run made ${join(workDir, name)}, and this one would write over it: give the run a directory of its own, or move that away\n`,
    );
    expect(readFileSync(join(workDir, name), 'utf8')).toBe('{"mine": 1}');
    expect(
      globSync('**', { cwd: workDir, withFileTypes: true }).filter((entry) => entry.isFile()),
    ).toHaveLength(2);
  },
);

test('beside its own files a run works in a directory that has others, and again, and reads its manifests there', async () => {
  const workDir = join(root, 'shared');
  writeTinyProject(workDir);
  rmSync(join(workDir, 'resources.yaml'));
  writeManifests(join(workDir, 'build.yaml'), [manifests.build]);
  for (const name of ['report.html.tmp', 'run.json.tmp', `${kept}.tmp`]) write(join(workDir, name), 'mine');
  for (let time = 0; time < 2; time += 1) {
    const { code, stderr } = await run(workDir, workDir);
    expect(code, stderr).toBe(0);
  }
  for (const name of ['report.html.tmp', 'run.json.tmp', `${kept}.tmp`])
    expect(readFileSync(join(workDir, name), 'utf8')).toBe('mine');

  const own = await run(workDir, join(workDir, kept));
  expect(own.code).toBe(2);
  expect(own.stderr).toContain(
    `the run would write a resource's status over ${join(workDir, kept)}, which it reads`,
  );

  write(join(workDir, 'report.html'), 'a page of mine');
  const beside = await run(workDir);
  expect(beside.stdout).toContain(`${join(workDir, 'report.html')}: is there and is no report of ours`);
  const named = await offsite(['report', workDir, '--output', join(workDir, 'build.yaml')]);
  expect(named.code).toBe(2);
  expect(named.stderr).toBe(
    `${join(workDir, 'build.yaml')}: is there and is no report of ours: move that away, or name another file with --output\n`,
  );
  expect(readFileSync(join(workDir, 'report.html'), 'utf8')).toBe('a page of mine');
  writeFileSync(join(workDir, 'report.html'), '');
  expect((await offsite(['report', workDir])).stdout).toBe(`Report: ${join(workDir, 'report.html')}\n`);
});

test('a run whose work dir was taken over while it stood still writes nothing there any more', async () => {
  const workDir = join(root, 'taken');
  const longer = structuredClone(manifests.build);
  setField(longer, 'spec.output.uri', 'file:out/taken');
  writeManifests(join(root, 'taken.yaml'), [longer]);
  const { child, ended } = startOffsite(['run', '-f', join(root, 'taken.yaml'), '--work-dir', workDir]);
  await expect.poll(() => existsSync(join(workDir, kept)), { interval: 5, timeout: 300_000 }).toBe(true);
  child.kill('SIGSTOP');
  const other = await takeLock(new DiskLock(join(workDir, 'run')), {
    owner: 'another run',
    waitsFor: () => true,
    refusal: () => new Error('not refused'),
    unwritable: () => new Error('not written'),
    signal: new AbortController().signal,
    times: lockTimes(300),
  });
  write(join(workDir, kept), "the other's");
  child.kill('SIGCONT');
  const { code, stderr } = await ended;
  expect(code, stderr).toBe(1);
  expect(stderr).toMatch(
    /\nanother run has taken the place over: this run stops, and writes nothing more there\n$/,
  );
  expect(readFileSync(join(workDir, kept), 'utf8')).toBe("the other's");
  expect(existsSync(join(workDir, 'report.html'))).toBe(false);
  await other.release();
});

test('a plug-in that saves nothing forgets no model that it saved before', async () => {
  const project = join(root, 'saved');
  const { build, tune, plug } = writeTinyProject(project);
  const file = join(project, 'resources.yaml');
  const workDir = join(project, 'work');
  for (const [save, coefficient] of [
    ['model', '1'],
    ['none', '1'],
    ['model', '0.5'],
  ] as const) {
    setField(plug, 'spec.output.save', save);
    setField(plug, 'spec.coefficient', coefficient);
    writeManifests(file, [build, tune, plug]);
    const { code, stderr } = await run(workDir, file);
    expect(code, stderr).toBe(0);
    expect(savedStatus(workDir, 'PlugIn')).toMatchObject({ phase: 'Complete' });
  }
});
