import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { offsite } from '../offsite/index.ts';
import { setField, writeTinyProject } from '../tiny/index.ts';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'offsite-report-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const lastLine = (text: string) => text.trimEnd().split('\n').at(-1);

test('a run ends with its report, and offsite report makes the same one again', async () => {
  const project = join(directory, 'good');
  writeTinyProject(project);
  const work = join(project, 'work');
  const run = await offsite(['run', '-f', join(project, 'resources.yaml'), '--work-dir', work]);
  expect(run.code, run.stderr).toBe(0);
  expect(lastLine(run.stdout)).toBe(`Report: ${join(work, 'report.html')}`);

  const page = readFileSync(join(work, 'report.html'), 'utf8');
  for (const part of ['Every two layers', 'Loss by step', 'Private cells', 'The differences', 'best step:']) {
    expect(page).toContain(part);
  }
  const again = await offsite(['report', work, '--output', join(directory, 'again.html'), '--json']);
  expect(JSON.parse(again.stdout)).toEqual({
    report: join(directory, 'again.html'),
    emulatorBuilds: 1,
    offsiteTunes: 1,
    plugIns: 1,
    unreadable: [],
  });
  expect(readFileSync(join(directory, 'again.html'), 'utf8')).toBe(page);
});

test('a run that fails has a report that says why', async () => {
  const project = join(directory, 'bad');
  writeTinyProject(project, {
    change: ({ tune }) => setField(tune, 'spec.data.uri', 'file:data/none.jsonl'),
  });
  const work = join(project, 'work');
  const run = await offsite(['run', '-f', join(project, 'resources.yaml'), '--work-dir', work, '--json']);
  expect(run.code).toBe(1);
  expect(JSON.parse(lastLine(run.stdout) as string)).toMatchObject({
    type: 'summary',
    report: join(work, 'report.html'),
  });
  const page = readFileSync(join(work, 'report.html'), 'utf8');
  expect(page).toContain('OffsiteTune tiny failed');
  expect(page).toMatch(/\(BadData\): [^<]*none\.jsonl: there is no such file/);
});

test('what is no work dir is refused with what to give', async () => {
  const { code, stderr } = await offsite(['report', join(directory, 'nowhere')]);
  expect(code).toBe(2);
  expect(stderr).toMatch(/nowhere: is no directory; give the work dir of `offsite run`, or add --namespace/);
});
