import { cpSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Authority } from '../support/cluster/certificates.ts';
import { Namespace } from '../support/processes/pod.ts';
import { behindTls, startProxy } from '../support/processes/private-network.ts';
import { type Hub, startHub } from '../support/servers/hub.ts';
import { S3Server } from '../support/servers/s3-server.ts';
import { tinyManifests, writeTinyData, writeTinyModel } from '../support/tiny/index.ts';

/** A network without the internet: mirrors of S3 and the hub with certificates of its own authority, behind a proxy. */
const names = ['s3.internal.example', 'hub.internal.example', 'files.internal.example'];
const token = 'hf_never-to-be-shown';
const password = 'never-shown-either';
let namespace: Namespace;
let s3: S3Server;
let hub: Hub;
let proxy: Awaited<ReturnType<typeof startProxy>>;
/** What an administrator gives to every worker pod; credentials are the Secrets'. */
let environment: NodeJS.ProcessEnv;
const cleanUp: (() => unknown)[] = [];

beforeEach(async () => {
  namespace = new Namespace();
  cleanUp.push(() => namespace.remove());
  const model = join(namespace.directory, 'model');
  writeTinyModel(model, { shardBytes: 100_000 });
  s3 = await S3Server.start('team');
  cleanUp.push(() => s3.remove());
  hub = await startHub(model, token);
  cleanUp.push(() => hub.close());
  const pki = join(namespace.directory, 'pki');
  mkdirSync(pki);
  const authority = new Authority(pki);
  const certificate = authority.issue('web', 'web', [], names);
  const fronts = await Promise.all(
    [s3.port, hub.port, hub.filesPort].map((port) => behindTls(port, certificate)),
  );
  for (const front of fronts) cleanUp.push(() => front.close());
  Object.assign(hub, { pagesAt: `https://${names[1]}`, filesAt: `https://${names[2]}` });
  proxy = await startProxy(new Map(fronts.map(({ port }, i) => [names[i]!, port])), `team:${password}`);
  cleanUp.push(() => proxy.close());
  writeTinyData(join(namespace.directory, 'data'));
  const rows = s3.fileOf('team', 'data/probe.jsonl');
  mkdirSync(dirname(rows), { recursive: true });
  cpSync(join(namespace.directory, 'data/probe.jsonl'), rows);
  const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY } = s3.credentials as Record<string, string>;
  namespace.secret('keys', {
    AWS_ACCESS_KEY_ID: AWS_ACCESS_KEY_ID!,
    AWS_SECRET_ACCESS_KEY: AWS_SECRET_ACCESS_KEY!,
  });
  namespace.secret('hub', { token });
  environment = {
    HTTPS_PROXY: `http://team:${password}@127.0.0.1:${proxy.port}`,
    NO_PROXY: 'localhost,.svc',
    NODE_EXTRA_CA_CERTS: authority.own.cert,
    AWS_ENDPOINT_URL: `https://${names[0]}`,
    AWS_REGION: 'us-east-1',
    HF_ENDPOINT: `https://${names[1]}`,
  };
});
afterEach(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step();
});

/** Runs the probe and assembles, as two pods would. */
async function build(changed: NodeJS.ProcessEnv = {}) {
  const { build } = tinyManifests();
  const { probe } = build.spec as { probe: { data: object } };
  probe.data = { uri: 's3://team/data/probe.jsonl', format: 'text', secretRef: { name: 'keys' } };
  Object.assign(build.spec, {
    model: { uri: 'hf://team/tiny@v1', secretRef: { name: 'hub' } },
    output: { uri: 's3://team/out/emulator', secretRef: { name: 'keys' } },
  });
  const metadata = { ...build.metadata, namespace: 'data', uid: 'uid', generation: 1 };
  const job = { resource: { ...build, metadata } };
  const options = { environment: { ...environment, ...changed } };
  const first = await namespace.run({ ...job, stage: 'probe' }, options);
  return first.code === 0 ? await namespace.run({ ...job, stage: 'assemble' }, options) : first;
}

test('a stage reads the hub and S3 and writes S3, each through the proxy and with the authority of the house', async () => {
  const { termination, text } = await build();
  expect(termination, text).toMatchObject({ ok: true });
  expect(existsSync(s3.fileOf('team', 'out/emulator/manifest.json'))).toBe(true);
  expect(new Set(proxy.asked)).toEqual(new Set(names.map((name) => `CONNECT ${name}`)));
  expect(hub.requests.filter(({ where }) => where === 'files').every((request) => !request.token)).toBe(true);
  for (const secret of [password, token, s3.secretKey]) expect(text).not.toContain(secret);
  expect(readFileSync(s3.fileOf('team', 'out/emulator/manifest.json'), 'utf8')).not.toContain(names[0]);
});

test.each([
  [{ HTTPS_PROXY: '' }, 'StoreUnavailable', /does not answer as it should \((ENOTFOUND|EAI_AGAIN)\)$/],
  [
    { NO_PROXY: '.internal.example' },
    'StoreUnavailable',
    /\((ENOTFOUND|EAI_AGAIN), through the proxy of HTTPS_PROXY unless NO_PROXY names it\)$/,
  ],
  [
    { NODE_EXTRA_CA_CERTS: '' },
    'StoreUnavailable',
    /add the authority of its certificate by NODE_EXTRA_CA_CERTS\)$/,
  ],
  [
    { HTTPS_PROXY: 'socks5://me:never-shown-either@proxy' },
    'BadSpec',
    /the environment's HTTPS_PROXY must be a proxy's URL/,
  ],
])('without one of them a message says what is missing: %j', async (changed, reason, message) => {
  const { termination, text } = await build(changed);
  expect(termination).toMatchObject({ ok: false, reason });
  expect(termination?.['message']).toMatch(message);
  expect(text).not.toContain(password);
});
