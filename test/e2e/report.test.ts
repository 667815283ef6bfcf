import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { offsite } from '../support/offsite/index.ts';
import { S3Server } from '../support/servers/s3-server.ts';
import { setField, writeTinyProject } from '../support/tiny/index.ts';

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
  expect(stderr).toMatch(
    /nowhere: is no directory; give the work dir of `offsite run`, or the name of resources in a cluster\n$/,
  );
});

test('of a cluster, what lies in a store is read there; a store that refuses is named', async () => {
  const project = join(directory, 'good');
  const resources = ['emulatorbuild', 'offsitetune', 'plugin'].map((kind) => {
    const file = join(project, 'work', kind, 'tiny', 'resource.yaml');
    const resource = parse(readFileSync(file, 'utf8')) as {
      spec: { output: { uri: string }; work?: { uri: string } };
    };
    resource.spec.work = { uri: 's3://artifacts/work' };
    resource.spec.output.uri = resource.spec.output.uri.replace('file:out/', 's3://artifacts/team/');
    return resource;
  });
  const bin = join(directory, 'bin');
  mkdirSync(bin);
  writeFileSync(join(bin, 'list.json'), JSON.stringify({ items: resources }));
  writeFileSync(join(bin, 'kubectl'), `#!/bin/sh\ncat ${join(bin, 'list.json')}\n`);
  chmodSync(join(bin, 'kubectl'), 0o755);

  const server = await S3Server.start('artifacts');
  try {
    const objects = server.fileOf('artifacts', 'team');
    mkdirSync(dirname(objects), { recursive: true });
    cpSync(join(project, 'out'), objects, { recursive: true });
    cpSync(join(project, 'work/work'), server.fileOf('artifacts', 'work'), { recursive: true });
    const environment = { ...server.credentials, PATH: `${bin}:${process.env['PATH']}` };
    const output = join(directory, 'cluster.html');
    const args = ['report', 'tiny', '--namespace', 'team', '--output', output];
    const good = await offsite(args, { environment });
    expect(good.code, good.stderr).toBe(0);
    const page = readFileSync(output, 'utf8');
    for (const part of ['namespace team', 'Every two layers', 'Loss by step', 'files of the artifact'])
      expect(page).toContain(part);

    const refused = { ...environment, AWS_SECRET_ACCESS_KEY: 'wrong-and-never-shown' };
    const bad = await offsite(args, { environment: refused });
    expect(bad.code, bad.stderr).toBe(0);
    const without = readFileSync(output, 'utf8');
    expect(without).toContain('s3://artifacts/team/emulator cannot be read from here');
    expect(without).not.toMatch(/never-shown|Every two layers/);
  } finally {
    await server.remove();
  }
});
