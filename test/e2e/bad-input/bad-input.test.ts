// Bad input through the real CLI: every case ends with its reason, the worker's exit code and a message that says which file,
// field or row is wrong and what is right; and no message quotes a row. All cases are resources of one run.
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { digestIn, failureOf, offsite } from '../../support/offsite/index.ts';
import { setField, tinyManifests, writeManifests, writeTinyProject } from '../../support/tiny/index.ts';
import { artifactCases } from './artifacts.ts';
import { stageOf } from './case.ts';
import { modelCases } from './models.ts';
import { dataCases, secret } from './rows.ts';
import { specCases } from './specs.ts';

const codes: Record<string, number> = {
  BadSpec: 10,
  BadData: 11,
  BadModel: 12,
  GateFailed: 13,
  StoreUnavailable: 1,
};

const root = mkdtempSync(join(tmpdir(), 'offsite-bad-input-'));
const base = join(root, 'base');
const work = join(root, 'work');
afterAll(() => rmSync(root, { recursive: true, force: true }));

const cases = [...modelCases, ...dataCases, ...specCases, ...artifactCases].map((one, i) => ({
  ...one,
  id: `case-${i}`,
}));

describe('one run of all of them', () => {
  let output = '';

  beforeAll(async () => {
    writeTinyProject(base);
    const good = await offsite(['run', '-f', join(base, 'resources.yaml'), '--work-dir', work]);
    expect(good.code, good.stderr).toBe(0);
    const [emulator, adapterDigest] = ['emulator', 'adapter'].map((name) =>
      digestIn(join(base, 'out', name)),
    );
    // What it computed of the good files must not stand in for what the bad ones give.
    rmSync(join(work, 'work'), { recursive: true });
    const manifests = cases.map(({ id, kind, change }) => {
      cpSync(base, join(root, id), { recursive: true });
      const manifest = tinyManifests((place) => `file:${id}/${place}`)[stageOf[kind]];
      manifest.metadata.name = id;
      if (kind !== 'EmulatorBuild')
        setField(manifest, 'spec.emulator', { uri: `file:${id}/out/emulator`, digest: emulator });
      if (kind === 'PlugIn')
        setField(manifest, 'spec.adapter', { uri: `file:${id}/out/adapter`, digest: adapterDigest });
      setField(manifest, 'spec.output.uri', `file:${id}/made`);
      change({ manifest, path: (...parts) => join(root, id, ...parts) });
      return manifest;
    });
    writeManifests(join(root, 'bad.yaml'), manifests);
    const ended = await offsite(['run', '-f', join(root, 'bad.yaml'), '--work-dir', work]);
    expect(ended.code, ended.stderr).toBe(1);
    output = ended.stdout + ended.stderr;
  });

  test.each(cases)('$name', ({ id, kind, reason, message }) => {
    const failed = failureOf(work, kind, id);
    expect(failed).toMatchObject({ reason, message: expect.stringMatching(message) });
    expect(failed.message).toContain(`(exit code ${codes[reason]})`);
  });

  test('nothing was made, and nothing quotes a row', () => {
    for (const { id } of cases) expect(readdirSync(join(root, id))).not.toContain('made');
    expect(output).not.toContain(secret);
    for (const file of readdirSync(work, { recursive: true, encoding: 'utf8' }).filter((name) =>
      name.endsWith('.yaml'),
    ))
      expect(readFileSync(join(work, file), 'utf8')).not.toContain(secret);
  });
});

test('what is good, is taken: CRLF, a byte order mark, symlinked model files', async () => {
  const place = join(root, 'good');
  const { build } = writeTinyProject(place);
  const probe = join(place, 'data/probe.jsonl');
  writeFileSync(probe, `\ufeff${readFileSync(probe, 'utf8').replaceAll('\n', '\r\n')}`);
  writeFileSync(join(place, 'model/LICENSE'), 'free');
  // As the hub's cache has them, and weights moved to another disk.
  const repository = join(place, 'models--team--tiny');
  const snapshot = join(repository, 'snapshots/0123abcd');
  mkdirSync(snapshot, { recursive: true });
  renameSync(join(place, 'model'), join(repository, 'blobs'));
  renameSync(join(repository, 'blobs/model.safetensors'), join(place, 'weights'));
  symlinkSync(join(place, 'weights'), join(snapshot, 'model.safetensors'));
  for (const name of readdirSync(join(repository, 'blobs')))
    symlinkSync(`../../blobs/${name}`, join(snapshot, name));
  symlinkSync(snapshot, join(place, 'model'));
  writeManifests(join(place, 'resources.yaml'), [build]);
  const { code, stderr } = await offsite([
    'run',
    '-f',
    join(place, 'resources.yaml'),
    '--work-dir',
    join(place, 'work'),
  ]);
  expect(code, stderr).toBe(0);
  expect(readFileSync(join(place, 'out/emulator/LICENSE'), 'utf8')).toBe('free');
});
