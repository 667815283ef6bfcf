import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { digestOf, Mirror, resolveUri, sealArtifact } from '../../src/artifact/index.ts';
import { Authority } from '../support/cluster/certificates.ts';
import { failureOf, offsite, savedStatus } from '../support/offsite/index.ts';
import { type Hub, serveFiles, startHub, type WebServer } from '../support/servers/hub.ts';
import { S3Server } from '../support/servers/s3-server.ts';
import {
  type Manifest,
  tinyManifests,
  writeManifests,
  writeTinyData,
  writeTinyModel,
  writeTinyProject,
} from '../support/tiny/index.ts';

const token = 'hf_never-to-be-shown';
let directory: string;
const cleanUp: (() => unknown)[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'offsite-sources-'));
});
afterEach(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step();
  rmSync(directory, { recursive: true, force: true });
});

/** The hub's repository: a model, and what a model does not need. */
async function hubWithModel(): Promise<Hub> {
  const model = join(directory, 'hub');
  writeTinyModel(model, { shardBytes: 100_000 });
  mkdirSync(join(model, 'onnx'));
  writeFileSync(join(model, 'onnx/model.safetensors'), 'the same again');
  writeFileSync(join(model, 'pytorch_model.bin'), 'and again');
  const hub = await startHub(model, token);
  cleanUp.push(() => hub.close());
  return hub;
}

/** A web server with rows, and the authority that clients must trust. */
async function webWithRows(): Promise<{ server: WebServer; trust: string }> {
  const web = join(directory, 'web');
  writeTinyData(join(web, 'data'));
  const pki = join(directory, 'pki');
  mkdirSync(pki);
  const authority = new Authority(pki);
  const server = await serveFiles(web, authority.issue('web', 'web', [], ['127.0.0.1']));
  cleanUp.push(() => server.close());
  return { server, trust: authority.own.cert };
}

async function run(manifests: Manifest[], environment: Record<string, string>) {
  writeManifests(join(directory, 'resources.yaml'), manifests);
  const work = join(directory, 'work');
  const ended = await offsite(['run', '-f', join(directory, 'resources.yaml'), '--work-dir', work], {
    environment,
  });
  return { ...ended, work };
}

/** The digest of the emulator that local files make. */
async function localDigest(): Promise<string | undefined> {
  const local = join(directory, 'local');
  writeTinyProject(local, { model: { shardBytes: 100_000 } });
  writeManifests(join(local, 'build.yaml'), [tinyManifests().build]);
  const { code, stderr } = await offsite([
    'run',
    '-f',
    join(local, 'build.yaml'),
    '--work-dir',
    join(local, 'work'),
  ]);
  expect(code, stderr).toBe(0);
  return savedStatus(join(local, 'work'), 'EmulatorBuild').artifact?.digest;
}

test('a model from the hub, rows from the web and an emulator on S3 are what local files are', async () => {
  const hub = await hubWithModel();
  const { server, trust } = await webWithRows();
  const s3 = await S3Server.start('team');
  cleanUp.push(() => s3.remove());
  const { build } = tinyManifests();
  Object.assign(build.spec, {
    model: { uri: 'hf://team/tiny@v1' },
    output: { uri: 's3://team/out/emulator' },
  });
  (build.spec['probe'] as { data: object }).data = {
    uri: `https://127.0.0.1:${server.port}/data/probe.jsonl`,
    format: 'text',
  };
  hub.cut.afterBytes = 30_000;
  hub.cut.times = 4;
  const environment = {
    HF_ENDPOINT: hub.endpoint,
    HF_TOKEN: token,
    NODE_EXTRA_CA_CERTS: trust,
    ...s3.credentials,
  };
  const { code, stdout, stderr, work } = await run([build], environment);
  expect(code, stderr).toBe(0);
  expect(savedStatus(work, 'EmulatorBuild').artifact?.digest).toBe(await localDigest());
  expect(existsSync(s3.fileOf('team', 'out/emulator/manifest.json'))).toBe(true);

  const fetched = hub.requests.filter(({ where }) => where === 'files');
  expect(fetched.every(({ token: seen }) => !seen)).toBe(true);
  expect(fetched.some(({ range }) => /^bytes=[1-9]\d*-$/.test(range ?? ''))).toBe(true);
  expect(hub.requests.some(({ path }) => /onnx|pytorch/.test(path) && !path.includes('/tree/'))).toBe(false);
  for (const text of [stdout, stderr]) expect(text).not.toContain(token);

  const before = hub.requests.length;
  const again = await run([build], environment);
  expect(again.code, again.stderr).toBe(0);
  expect(hub.requests.slice(before).filter(({ path }) => path.includes('/resolve/'))).toEqual([]);
});

test('a digest that is expected is checked; what lies on the hub is told when it is not that', async () => {
  const hub = await hubWithModel();
  const environment = { HF_ENDPOINT: hub.endpoint, HF_TOKEN: token };
  const { build } = tinyManifests();
  writeTinyData(join(directory, 'data'));
  rmSync(join(directory, 'hub/onnx'), { recursive: true });
  rmSync(join(directory, 'hub/pytorch_model.bin'));
  Object.assign(build.spec, {
    model: { uri: 'hf://team/tiny@v1', digest: digestOf(join(directory, 'hub')) },
  });
  expect((await run([build], environment)).code).toBe(0);
  Object.assign(build.spec, { model: { uri: 'hf://team/tiny@v1', digest: `sha256:${'0'.repeat(64)}` } });
  const wrong = await run([build], environment);
  expect(wrong.code).toBe(1);
  expect(failureOf(wrong.work, 'EmulatorBuild')).toMatchObject({ reason: 'BadModel' });
});

test('rows that lie in the repository of their model are no file of it', async () => {
  const hub = await hubWithModel();
  writeTinyData(join(directory, 'data'));
  mkdirSync(join(directory, 'hub/rows'));
  writeFileSync(join(directory, 'hub/rows/probe.jsonl'), readFileSync(join(directory, 'data/probe.jsonl')));
  const { build } = tinyManifests();
  Object.assign(build.spec, { model: { uri: 'hf://team/tiny@v1' }, output: { uri: 'file:emulator' } });
  (build.spec['probe'] as { data: object }).data = {
    uri: 'hf://team/tiny@v1/rows/probe.jsonl',
    format: 'text',
  };
  const environment = { HF_ENDPOINT: hub.endpoint, HF_TOKEN: token };
  const { code, stderr, work } = await run([build], environment);
  expect(code, stderr).toBe(0);
  expect(savedStatus(work, 'EmulatorBuild').artifact?.digest).toBe(await localDigest());
});

/** The hub's model, brought to this machine as a stage does. */
function pulling(hub: Hub) {
  const scratch = join(directory, 'scratch');
  const environment = { HF_ENDPOINT: hub.endpoint, HF_TOKEN: token };
  const mirror = new Mirror({ scratch, environment, signal: new AbortController().signal });
  const path = resolveUri('hf://team/tiny@v1', { claims: {}, base: '/', scratch }, 'spec.model.uri');
  return { path, pull: () => mirror.pull(path, { exact: true }) };
}

test.each([
  ['Emulator', ['LICENSE', 'NOTICE.md', 'config.json', 'manifest.dsse.json', 'manifest.json']],
  // By the same rule as any other model of the hub.
  ['Model', ['config.json', 'manifest.dsse.json', 'manifest.json']],
] as const)('of a repository that is an artifact of kind %s come the files %j', async (kind, files) => {
  const bundle = join(directory, 'hub');
  mkdirSync(bundle);
  for (const name of ['LICENSE', 'NOTICE.md', 'config.json']) writeFileSync(join(bundle, name), '{}');
  sealArtifact(bundle, { kind, madeFrom: {}, hyperparameters: {} });
  for (const name of ['manifest.dsse.json', '.gitattributes', 'README.md'])
    writeFileSync(join(bundle, name), '{}');
  const hub = await startHub(bundle, token);
  cleanUp.push(() => hub.close());
  const { path, pull } = pulling(hub);
  expect(await pull()).toBe(true);
  expect(readdirSync(path).filter((name) => !name.startsWith('.'))).toEqual(files);
});

test.each([
  ['config.json', 'git blob id'],
  ['.safetensors', 'sha256'],
])('one bit of a file %s that changed on its way is found, by its %s', async (ending, which) => {
  const hub = await hubWithModel();
  const file = readdirSync(join(directory, 'hub')).find((name) => name.endsWith(ending)) as string;
  const { path, pull } = pulling(hub);
  hub.damaged.add(file);
  await expect(pull()).rejects.toMatchObject({
    reason: 'StoreUnavailable',
    message: `hf://team/tiny@v1/${file}: came with another ${which} than it was stored with`,
  });
  expect(existsSync(join(path, file))).toBe(false);
  hub.damaged.clear();
  expect(await pull()).toBe(true);
  expect(readFileSync(join(path, file))).toEqual(readFileSync(join(directory, 'hub', file)));
});

test('the pages of a file list come from the hub that has the token, from nowhere else', async () => {
  const hub = await hubWithModel();
  const seen: (string | undefined)[] = [];
  const other = createServer((request, response) => {
    seen.push(request.headers.authorization);
    response.end('[]');
  }).listen(0, '127.0.0.1');
  cleanUp.push(() => other.close());
  await once(other, 'listening');
  hub.pagesAt = `http://127.0.0.1:${(other.address() as AddressInfo).port}`;
  await expect(pulling(hub).pull()).rejects.toThrow(
    'hf://team/tiny@v1: its server does not answer as a hub does',
  );
  expect(seen).toEqual([]);
});

test('what is not there, not allowed or not trusted: the field or the place, and no token', async () => {
  const hub = await hubWithModel();
  const { server, trust } = await webWithRows();
  const rows = `https://127.0.0.1:${server.port}/data`;
  const environment = { HF_ENDPOINT: hub.endpoint, HF_TOKEN: token, NODE_EXTRA_CA_CERTS: trust };
  writeTinyProject(directory);
  const wrong: [Record<string, string>, Record<string, string>, string, RegExp][] = [
    [
      { model: 'hf://team/none@v1' },
      {},
      'BadModel',
      /spec.model.uri: there is nothing at hf:\/\/team\/none@v1/,
    ],
    [
      { model: 'hf://team/tiny@v1' },
      { HF_TOKEN: 'hf_wrong' },
      'AccessDenied',
      /hf:\/\/team\/tiny@v1: the token of the environment does not allow this \(401\)/,
    ],
    [
      { model: 'hf://team/tiny@v1' },
      { HF_ENDPOINT: 'http://127.0.0.1:1' },
      'StoreUnavailable',
      /cannot be reached/,
    ],
    [{ data: `${rows}/none.jsonl` }, {}, 'BadData', /spec.probe.data.uri: there is nothing at https:/],
    [
      { data: `${rows}/probe.jsonl` },
      { OFFSITE_HTTPS_HOSTS: 'data.example.com, *.example.org' },
      'BadSpec',
      /host 127.0.0.1 is not one of those allowed here/,
    ],
    [
      { data: `${rows}/probe.jsonl` },
      { NODE_EXTRA_CA_CERTS: '' },
      'StoreUnavailable',
      /cannot be reached \((SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_VERIFY_LEAF_SIGNATURE): add the authority/,
    ],
    [
      { data: `https://user:pw@127.0.0.1:${server.port}/x` },
      {},
      'BadSpec',
      /spec.probe.data.uri: must be without user/,
    ],
  ];
  for (const [change, more, reason, right] of wrong) {
    const { build } = tinyManifests();
    if (change['model']) Object.assign(build.spec['model'] as object, { uri: change['model'] });
    if (change['data'])
      Object.assign((build.spec['probe'] as { data: object }).data, { uri: change['data'] });
    const { code, stdout, stderr, work } = await run([build], { ...environment, ...more });
    const failure = failureOf(work, 'EmulatorBuild');
    expect(failure.message).toMatch(right);
    expect(failure.reason).toBe(reason);
    expect(code).toBe(1);
    for (const text of [stdout, stderr, failure.message]) expect(text).not.toMatch(/hf_never|hf_wrong/);
  }
});
