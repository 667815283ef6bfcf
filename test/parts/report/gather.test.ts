import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { stringify } from 'yaml';
import { manifestsOfRounds } from '../../../examples/rounds/in-namespaces.ts';
import { apiVersion } from '../../../src/api/index.ts';
import { sealArtifact } from '../../../src/artifact/index.ts';
import { related } from '../../../src/report/cluster.ts';
import { gatherCluster, gatherWorkDir, writeReport, writeRun } from '../../../src/report/index.ts';
import { unanswered } from '../../support/faults/unanswered-disk.ts';
import {
  analysisOf,
  buildEntry,
  plugInEntry,
  similarityOf,
  tuneEntry,
} from '../../support/unit/report/records.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'offsite-report-'));
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(directory, { recursive: true, force: true });
});

const at = (path: string) => join(directory, path);

function write(path: string, text: string): void {
  mkdirSync(join(at(path), '..'), { recursive: true });
  writeFileSync(at(path), text);
}

interface AnyResource {
  kind: string;
  metadata: { name: string };
}

function writeResource({ resource, status }: { resource: AnyResource; status: object }): void {
  const path = `work/${resource.kind.toLowerCase()}/${resource.metadata.name}/resource.yaml`;
  write(path, stringify({ ...resource, status }));
}

/** An emulator's artifact as far as a report looks at it. */
function writeBundle(place: string): { uri: string; digest: string; sizeBytes: number } {
  write(`${place}/similarity.json`, JSON.stringify(similarityOf(30)));
  const { digest, sizeBytes } = sealArtifact(at(place), {
    kind: 'Emulator',
    madeFrom: { model: 'sha256:0' },
    hyperparameters: {},
  });
  return { uri: 'pvc://artifacts/words-emulator', digest, sizeBytes };
}

/** Where the training's history lies, as `offsite run` writes it. */
const historyPlace = 'work/work/offsitetune/default/words/history.json';

const history = (losses: number[]) => ({ losses, evaluations: [], bestStep: losses.length });

/** A work dir with an emulator and a finished training, claims in run.json. */
function writeWorkDir(): void {
  writeResource(buildEntry({ status: { artifact: writeBundle('artifacts/words-emulator') } }));
  const training = { steps: 2, bestStep: 2, firstLoss: '3.0000', lastLoss: '1.0000' };
  writeResource(tuneEntry({ status: { artifact: undefined, training } }));
  write(historyPlace, JSON.stringify(history([3, 1])));
  writeRun(at('work'), {
    claims: { artifacts: at('artifacts') },
    resources: { 'emulatorbuild/words': directory, 'offsitetune/words': directory },
    scratch: at('work/.stores'),
    work: at('work/work'),
  });
}

test('rounds follow each other; such as refer to each other in a ring are there too', () => {
  const rounds = manifestsOfRounds();
  const [east] = rounds.filter(({ metadata }) => metadata.name === 'east-1');
  const ring = [1, 2].map((i) => ({
    ...east!,
    metadata: { name: `ring-${i}` },
    spec: {
      ...east!.spec,
      emulator: { ref: { name: 'elsewhere' } },
      start: { ref: { name: `ring-${3 - i}` } },
    },
  }));
  for (const resource of [...rounds, ...ring]) writeResource({ resource, status: {} });
  const { tunes, plugIns, unreadable } = gatherWorkDir(at('work'));
  expect(unreadable).toEqual([]);
  const namesOf = (entries: readonly { resource: AnyResource }[]) =>
    entries.map(({ resource }) => resource.metadata.name);
  expect(namesOf(tunes).filter((name) => !name.startsWith('ring'))).toEqual(
    [1, 2, 3].flatMap((round) => ['east', 'north', 'south', 'west'].map((party) => `${party}-${round}`)),
  );
  expect(namesOf(tunes)).toEqual(expect.arrayContaining(['ring-1', 'ring-2']));
  expect(namesOf(plugIns)).toEqual(['round-1', 'round-2', 'round-3']);
});

describe('a work dir', () => {
  test('is found with all that lies beside it', () => {
    writeWorkDir();
    const { place, builds, tunes, unreadable } = gatherWorkDir(at('work'));
    expect(unreadable).toEqual([]);
    expect(place).toBe('work');
    expect(builds[0]).toMatchObject({
      similarity: { value: { metric: 'linearCKA' } },
      manifest: { value: { madeFrom: { model: 'sha256:0' } } },
    });
    expect(tunes[0]?.history).toEqual({ value: history([3, 1]) });
  });

  test('with similarities that are not those of its bundle shows none, and says so', () => {
    writeWorkDir();
    const other = similarityOf(30);
    write('artifacts/words-emulator/similarity.json', JSON.stringify({ ...other, kept: [0] }));
    const absent = expect.stringMatching(
      /similarity\.json: is not the file that the manifest lists/,
    ) as string;
    expect(gatherWorkDir(at('work')).builds[0]?.similarity).toEqual({ absent });
  });

  test.each([
    ['are gone', () => {}, 'similarity.json: the manifest lists it, and it is not there'],
    ['lead to themselves', (path: string) => symlinkSync('similarity.json', path), 'cannot be read (ELOOP)'],
    ['are a directory', (path: string) => mkdirSync(path), 'is not the file that the manifest lists'],
  ])('whose similarities %s shows all else of the bundle, and says so', (_, lay, words) => {
    writeWorkDir();
    const path = at('artifacts/words-emulator/similarity.json');
    rmSync(path);
    lay(path);
    const { builds, unreadable } = gatherWorkDir(at('work'));
    expect(unreadable).toEqual([]);
    expect(builds[0]?.manifest).toHaveProperty('value');
    expect(builds[0]?.similarity).toEqual({ absent: expect.stringContaining(words) as string });
  });

  test('keeps its claims relative, so that it can be moved; resources of earlier runs stay out', () => {
    writeWorkDir();
    writeResource(plugInEntry({ name: 'earlier' }));
    expect(JSON.parse(readFileSync(at('work/run.json'), 'utf8'))).toEqual({
      claims: { artifacts: '../artifacts' },
      resources: { 'emulatorbuild/words': '..', 'offsitetune/words': '..' },
      scratch: '.stores',
      work: 'work',
    });
    expect(gatherWorkDir(at('work')).plugIns).toEqual([]);
    rmSync(at('work/run.json'));
    const { plugIns, builds } = gatherWorkDir(at('work'));
    expect(plugIns).toHaveLength(1);
    expect(builds[0]?.similarity).toEqual({
      absent: 'pvc://artifacts/words-emulator cannot be reached from here',
    });
    expect(gatherWorkDir(at('work'), { artifacts: at('artifacts') }).builds[0]?.similarity).toHaveProperty(
      'value',
    );
  });

  test('waits for no named pipe in place of its files', () => {
    writeWorkDir();
    const pipeAt = (path: string) => {
      rmSync(at(path));
      execFileSync('mkfifo', [at(path)]);
    };
    pipeAt('work/emulatorbuild/words/resource.yaml');
    expect(gatherWorkDir(at('work'))).toMatchObject({ builds: [], unreadable: [expect.anything()] });
    pipeAt('work/run.json');
    expect(() => gatherWorkDir(at('work'))).toThrow(`${at('work/run.json')}: is damaged`);
  });

  test('another artifact in the same place is not taken for the resource', () => {
    writeWorkDir();
    write('artifacts/words-emulator/config.json', '{}');
    sealArtifact(at('artifacts/words-emulator'), { kind: 'Emulator', madeFrom: {}, hyperparameters: {} });
    const [build] = gatherWorkDir(at('work')).builds;
    expect(build?.manifest).toEqual({ absent: 'another artifact lies there now, or none' });
    expect(build?.similarity).toEqual({ absent: 'another artifact lies there now, or none' });
  });

  test('analyses are those of the manifest, or beside the output; others are not taken for the resource', () => {
    writeWorkDir();
    rmSync(at('work/run.json'));
    const found = () => gatherWorkDir(at('work'), { artifacts: at('artifacts') }).plugIns[0]?.analysis;
    const analysis = analysisOf();
    writeResource(plugInEntry({ analysis, status: { artifact: undefined } }));
    expect(found()).toEqual({ absent: 'they are not finished, or lie where the evaluation ran' });
    const beside = 'work/work/plugin/default/words/analysis.json';
    write(beside, JSON.stringify({ identity: 'sha256:0', measured: {}, analysis }));
    expect(found()).toEqual({ value: analysis });
    write(
      beside,
      JSON.stringify({ identity: 'sha256:0', measured: {}, analysis: analysisOf({ coefficient: 2 }) }),
    );
    expect(found()).toHaveProperty('absent');

    const place = at('artifacts/words-model');
    write('artifacts/words-model/config.json', '{}');
    const { digest, sizeBytes } = sealArtifact(place, {
      kind: 'Model',
      madeFrom: {},
      hyperparameters: {},
      scores: { analysis },
    });
    const artifact = { uri: 'pvc://artifacts/words-model', digest, sizeBytes };
    writeResource(plugInEntry({ analysis, status: { artifact } }));
    expect(found()).toEqual({ value: analysis });
  });

  test('losses of another training are not taken for the resource', () => {
    writeWorkDir();
    write(historyPlace, JSON.stringify(history([5, 4, 3])));
    expect(gatherWorkDir(at('work')).tunes[0]?.history).toHaveProperty('absent');
    rmSync(at(historyPlace));
    expect(gatherWorkDir(at('work')).tunes[0]?.history).toHaveProperty('absent');
    write(historyPlace, '{');
    expect(gatherWorkDir(at('work')).tunes[0]?.history).toMatchObject({
      absent: expect.stringMatching(/history\.json: is damaged/),
    });
  });

  test('of unfinished training the newest checkpoint is shown', () => {
    writeWorkDir();
    writeResource(tuneEntry({ status: { phase: 'Failed', artifact: undefined, training: undefined } }));
    const checkpoint = (losses: number[]) =>
      JSON.stringify({ record: { ...history(losses), step: losses.length } });
    write('work/work/offsitetune/default/words/checkpoints/a/step-00000001/state.json', checkpoint([9]));
    write('work/work/offsitetune/default/words/checkpoints/a/step-00000002/state.json', checkpoint([9, 8]));
    expect(gatherWorkDir(at('work')).tunes[0]?.history).toEqual({ value: history([9, 8]) });
  });

  test('damaged resources are named, the others shown', async () => {
    writeWorkDir();
    write('work/offsitetune/words/resource.yaml', '{ not: yaml');
    write(
      'work/emulatorbuild/words/resource.yaml',
      stringify({ ...buildEntry().resource, status: { phase: 'Odd' } }),
    );
    const record = gatherWorkDir(at('work'));
    const unread = unanswered('emulatorbuild/words/resource.yaml', 'EACCES', () => gatherWorkDir(at('work')));
    expect(unread.unreadable[0]).toMatch(/emulatorbuild\/words\/resource\.yaml: must be a mapping/);
    expect(record.unreadable).toEqual([
      expect.stringMatching(/emulatorbuild\/words\/resource\.yaml: EmulatorBuild words: status\.phase: /),
      expect.stringMatching(/offsitetune\/words\/resource\.yaml: must be a mapping/),
    ]);
    await writeReport(record, at('out/report.html'));
    expect(readFileSync(at('out/report.html'), 'utf8')).toContain('status.phase');
  });

  test('a directory without resources is refused', () => {
    expect(() => gatherWorkDir(directory)).toThrow(/holds no resources; give the work dir/);
  });
});

describe('a cluster', () => {
  const listed = (kind: string, name: string, spec = {}) => ({ kind, metadata: { name }, spec });
  const reference = (emulator: string, adapter?: string) => ({
    emulator: { ref: { name: emulator } },
    ...(adapter ? { adapter: { ref: { name: adapter } } } : {}),
  });

  test('a name brings what it was made from and what was made from it', () => {
    const all = [
      listed('EmulatorBuild', 'base'),
      listed('OffsiteTune', 'one', reference('base')),
      listed('OffsiteTune', 'two', reference('base')),
      listed('PlugIn', 'release', reference('base', 'one')),
      listed('EmulatorBuild', 'other'),
    ];
    const names = (name: string) => related(all, name).map(({ metadata }) => metadata.name);
    expect(names('one')).toEqual(['base', 'one', 'release']);
    expect(names('base')).toEqual(['base', 'one', 'two', 'release']);
    expect(names('other')).toEqual(['other']);
    expect(names('nobody')).toEqual([]);
  });

  test('hundreds of rounds of parties are followed as fast as they are listed', () => {
    const all = [listed('EmulatorBuild', 'base'), listed('EmulatorBuild', 'other')];
    const [rounds, parties] = [40, 64];
    for (let round = 0; round < rounds; round++) {
      const names = Array.from({ length: parties }, (_, party) => `p${party}-r${round}`);
      const start = round > 0 && { start: { ref: { name: `r${round - 1}`, kind: 'PlugIn' } } };
      for (const name of names) all.push(listed('OffsiteTune', name, { ...reference('base'), ...start }));
      const adapters = names.map((name) => ({ ref: { name } }));
      all.push(listed('PlugIn', `r${round}`, { ...reference('base'), adapters }));
    }
    const begun = performance.now();
    expect(related(all, 'r0')).toHaveLength(all.length - 1);
    expect(performance.now() - begun).toBeLessThan(2000);
  });

  /** Stands in for kubectl: notes what it is asked and prints a list. */
  function fakeKubectl(script: string): void {
    write('bin/kubectl', `#!/bin/sh\necho "$@" > ${at('asked')}\n${script}\n`);
    chmodSync(at('bin/kubectl'), 0o755);
    vi.stubEnv('PATH', `${at('bin')}:${process.env['PATH']}`);
  }

  test('is read by kubectl; what a claim holds is shown where it is mounted', async () => {
    const artifact = writeBundle('artifacts/words-emulator');
    const { resource, status } = buildEntry({ status: { artifact } });
    const value = {
      ...resource,
      apiVersion,
      metadata: { name: 'words', namespace: 'team', managedFields: [{}] },
      status,
    };
    write('list.json', JSON.stringify({ kind: 'List', items: [value] }));
    fakeKubectl(`cat ${at('list.json')}`);
    const options = { name: 'words', namespace: 'team', claims: { artifacts: at('artifacts') } };
    const record = await gatherCluster(options);
    expect(readFileSync(at('asked'), 'utf8').trim()).toBe(
      'get emulatorbuilds.offsite-tuning.dev,offsitetunes.offsite-tuning.dev,plugins.offsite-tuning.dev --namespace team --output json',
    );
    expect(record.place).toBe('namespace team');
    expect(record.builds[0]?.similarity).toHaveProperty('value');
    const [unmounted] = (await gatherCluster({ ...options, claims: {} })).builds;
    expect(unmounted?.similarity).toEqual({
      absent: 'pvc://artifacts/words-emulator cannot be reached from here',
    });
    await expect(gatherCluster({ ...options, name: 'nobody' })).rejects.toThrow(
      /there is no .* "nobody" in namespace team/,
    );
  });

  test('reads nothing through a link in a claim that leads out of it: others write there', async () => {
    const state = JSON.stringify({ record: { ...history([7.25]), step: 1 } });
    const { resource } = tuneEntry();
    const work = { uri: 'pvc://team/work' };
    const value = {
      ...{ ...resource, apiVersion, metadata: { name: 'words', namespace: 'team' } },
      spec: {
        ...resource.spec,
        emulator: { uri: 'pvc://team/emulator', digest: `sha256:${'0'.repeat(64)}` },
        work,
        output: { uri: 'pvc://team/out' },
      },
      status: { phase: 'Running' },
    };
    write('list.json', JSON.stringify({ items: [value] }));
    fakeKubectl(`cat ${at('list.json')}`);
    const shown = async () => {
      const options = { name: 'words', namespace: 'team', claims: { team: at('claim') } };
      return (await gatherCluster(options)).tunes[0]?.history;
    };
    write('claim/work/offsitetune/team/words/checkpoints/a/step-00000001/state.json', state);
    expect(await shown()).toHaveProperty('value');
    renameSync(at('claim/work/offsitetune/team/words'), at('mine'));
    symlinkSync(at('mine'), at('claim/work/offsitetune/team/words'));
    expect(await shown()).not.toHaveProperty('value');
  });

  test('asks the stores of several resources side by side, and none twice', async () => {
    const all = ['words', 'texts', 'sets', 'rows'];
    const asked: string[] = [];
    let [waiting, most] = [0, 0];
    const { promise: together, resolve: answer } = Promise.withResolvers<void>();
    const server = createServer(async ({ url = '' }, response) => {
      asked.push(new URL(url, 'http://s3').pathname);
      most = Math.max(most, ++waiting);
      response.on('close', () => waiting--);
      if (new Set(asked).size === all.length) answer();
      await together;
      response.writeHead(404).end('<Error><Code>NoSuchBucket</Code></Error>');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    vi.stubEnv('AWS_ENDPOINT_URL', `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'id');
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'key');
    const artifact = { uri: '', digest: `sha256:${'0'.repeat(64)}`, sizeBytes: 1 };
    const { resource, status } = buildEntry({ status: { artifact } });
    const items = all.map((name) => ({
      ...{ ...resource, apiVersion, metadata: { name: 'words', namespace: 'team' } },
      status,
      spec: { ...resource.spec, output: { uri: `s3://${name}/emulator` } },
    }));
    write('list.json', JSON.stringify({ kind: 'List', items }));
    fakeKubectl(`cat ${at('list.json')}`);
    try {
      const { builds } = await gatherCluster({ name: 'words', namespace: 'team', claims: {} });
      const told = builds.map(({ similarity }) => similarity as { absent: string });
      expect(told.sort((a, b) => (a.absent < b.absent ? -1 : 1))).toEqual(
        all
          .sort()
          .map((name) => ({ absent: expect.stringContaining(`s3://${name}/emulator cannot be read`) })),
      );
      expect(most).toBe(all.length);
    } finally {
      server.close();
      server.closeAllConnections();
    }
  });

  test('asks no web server and no hub, and reads no file of the reader’s machine, whatever a resource there names', async () => {
    let asked = 0;
    const server = createServer((_, response) => response.end('{}'));
    server.on('connection', () => asked++);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    vi.stubEnv('HF_ENDPOINT', `http://${host}`);
    vi.stubEnv('HTTPS_PROXY', `http://${host}`);
    const artifact = writeBundle('artifacts/words-emulator');
    const { resource, status } = buildEntry({ status: { artifact } });
    const file = `file://${at('artifacts/words-emulator')}`;
    const items = [`https://${host}/x`, 'hf://someone/model', file].map((uri) => ({
      ...{ ...resource, apiVersion, metadata: { name: 'words', namespace: 'team' }, status },
      spec: { ...resource.spec, output: { uri }, work: { uri } },
    }));
    write('list.json', JSON.stringify({ items }));
    fakeKubectl(`cat ${at('list.json')}`);
    try {
      const record = await gatherCluster({ name: 'words', namespace: 'team', claims: {} });
      expect(asked).toBe(0);
      expect(record.unreadable).toEqual(
        ['https:', 'hf:'].flatMap(() => [
          expect.stringContaining('spec.output.uri: must be pvc://CLAIM/PATH, s3://'),
          expect.stringContaining('spec.work.uri: must be pvc://CLAIM/PATH, s3://'),
        ]),
      );
      expect(record.builds.map(({ similarity }) => similarity)).toEqual([
        { absent: `${file} cannot be reached from here` },
      ]);
    } finally {
      server.close();
      server.closeAllConnections();
    }
  });

  test('says what kubectl said, or that there is none', async () => {
    const options = { name: 'words', namespace: 'team', claims: {} };
    fakeKubectl('echo "namespaces \\"team\\" is forbidden" >&2; exit 1');
    await expect(gatherCluster(options)).rejects.toThrow(/namespace team: namespaces "team" is forbidden/);
    vi.stubEnv('PATH', at('nowhere'));
    await expect(gatherCluster(options)).rejects.toThrow(/kubectl is not on PATH/);
  });
});
