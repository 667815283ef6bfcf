import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Namespace } from '../support/processes/pod.ts';
import { PrivateNetwork } from '../support/processes/private-network.ts';
import { tinyManifests, writeTinyData, writeTinyModel } from '../support/tiny/index.ts';

const { names, token, password } = PrivateNetwork;
let namespace: Namespace;
let network: PrivateNetwork;
/** What an administrator gives to every worker pod; credentials are the Secrets'. */
let environment: NodeJS.ProcessEnv;
const cleanUp: (() => unknown)[] = [];

beforeEach(async () => {
  namespace = new Namespace();
  cleanUp.push(() => namespace.remove());
  writeTinyModel(join(namespace.directory, 'model'), { shardBytes: 100_000 });
  writeTinyData(join(namespace.directory, 'data'));
  network = await PrivateNetwork.start(namespace.directory);
  cleanUp.push(() => network.close());
  namespace.secret('keys', network.keys);
  namespace.secret('hub', { token });
  environment = {
    HTTPS_PROXY: network.proxyUrl,
    NO_PROXY: 'localhost,.svc',
    NODE_EXTRA_CA_CERTS: network.authority,
    ...network.mirrors,
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
  const { s3, hub, asked } = network;
  expect(termination, text).toMatchObject({ ok: true });
  expect(existsSync(s3.fileOf('team', 'out/emulator/manifest.json'))).toBe(true);
  expect(new Set(asked)).toEqual(new Set(names.map((name) => `CONNECT ${name}`)));
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
