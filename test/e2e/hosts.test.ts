import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Authority, type Certificate } from '../support/cluster/certificates.ts';
import { Namespace } from '../support/processes/pod.ts';
import { serveFiles, startHub } from '../support/servers/hub.ts';
import { tinyManifests, writeTinyData, writeTinyModel } from '../support/tiny/index.ts';

/** Hosts of addresses and of redirects, where an installation names those that pods may ask (OFFSITE_HTTPS_HOSTS). */
let namespace: Namespace;
let certificate: Certificate;
let trust: NodeJS.ProcessEnv;
const cleanUp: (() => unknown)[] = [];

beforeEach(() => {
  namespace = new Namespace();
  writeTinyModel(join(namespace.claim('team'), 'model'));
  writeTinyData(join(namespace.claim('team'), 'data'));
  const pki = join(namespace.directory, 'pki');
  mkdirSync(pki);
  const authority = new Authority(pki);
  certificate = authority.issue('web', 'web', [], ['127.0.0.1', 'localhost']);
  trust = { NODE_EXTRA_CA_CERTS: authority.own.cert };
});
afterEach(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step();
  namespace.remove();
});

/** A web server with the claim's files. @param moved paths and where they are redirected to */
async function web(moved?: ReadonlyMap<string, string>) {
  const server = await serveFiles(namespace.claim('team'), certificate, moved);
  cleanUp.push(() => server.close());
  return server;
}

/** Runs the probe on model and rows at these addresses. */
async function probe(uris: { model?: string; data?: string }, environment: NodeJS.ProcessEnv) {
  const { build } = tinyManifests((place) => `pvc://team/${place}`);
  const { probe, model } = build.spec as { probe: { data: { uri: string } }; model: { uri: string } };
  probe.data.uri = uris.data ?? probe.data.uri;
  model.uri = uris.model ?? model.uri;
  const metadata = { ...build.metadata, namespace: 'data', uid: 'uid', generation: 1 };
  return await namespace.run({ stage: 'probe', resource: { ...build, metadata } }, { environment });
}

test('a host that is allowed is asked; another is BadSpec, with the field, the host and what is right', async () => {
  const { port, asked } = await web();
  const uris = { data: `https://127.0.0.1:${port}/data/probe.jsonl` };
  const refused = await probe(uris, { ...trust, OFFSITE_HTTPS_HOSTS: 'data.example.com,*.hf.co' });
  expect(refused.code).toBe(10);
  expect(refused.termination).toMatchObject({ ok: false, reason: 'BadSpec' });
  expect(refused.termination?.['message']).toMatch(
    /^spec\.probe\.data\.uri: https:.*: the host 127\.0\.0\.1 is not one of those allowed here: data\.example\.com, \*\.hf\.co$/,
  );
  expect(asked).toEqual([]);

  const allowed = await probe(uris, { ...trust, OFFSITE_HTTPS_HOSTS: 'data.example.com,127.0.0.1' });
  expect(allowed.termination, allowed.text).toMatchObject({ ok: true });
  expect((await probe(uris, trust)).code).toBe(0);
});

test('a redirect does not leave the hosts that are allowed', async () => {
  const other = await web();
  const moved = new Map([['/data/probe.jsonl', `https://localhost:${other.port}/data/probe.jsonl`]]);
  const { port } = await web(moved);
  const uris = { data: `https://127.0.0.1:${port}/data/probe.jsonl` };
  const refused = await probe(uris, { ...trust, OFFSITE_HTTPS_HOSTS: '127.0.0.1' });
  expect(refused.termination).toMatchObject({ reason: 'BadSpec', exitCode: 10 });
  expect(refused.termination?.['message']).toMatch(
    /^spec\.probe\.data\.uri: .*redirected to localhost, which is not one of those allowed here: 127\.0\.0\.1$/,
  );
  expect(other.asked).toEqual([]);

  const both = await probe(uris, { ...trust, OFFSITE_HTTPS_HOSTS: '127.0.0.1,localhost' });
  expect(both.termination, both.text).toMatchObject({ ok: true });
  expect(other.asked).toContain('/data/probe.jsonl');
});

test('a redirect does not leave TLS, whatever hosts are allowed', async () => {
  const moved = new Map([['/data/probe.jsonl', 'http://127.0.0.1:1/data/probe.jsonl']]);
  const { port } = await web(moved);
  const { termination } = await probe({ data: `https://127.0.0.1:${port}/data/probe.jsonl` }, trust);
  expect(termination).toMatchObject({ reason: 'BadSpec', exitCode: 10 });
  expect(termination?.['message']).toMatch(/is redirected from https: to http:, which is not followed$/);
});

test('the hub and where it keeps large files are hosts like others', async () => {
  const hub = await startHub(join(namespace.claim('team'), 'model'), 'hf_token');
  cleanUp.push(() => hub.close());
  const environment = { HF_ENDPOINT: `http://localhost:${hub.port}`, HF_TOKEN: 'hf_token' };
  const model = 'hf://team/tiny@v1';
  const none = await probe({ model }, { ...environment, OFFSITE_HTTPS_HOSTS: 'huggingface.co' });
  expect(none.termination?.['message']).toMatch(
    /^spec\.model\.uri: hf:\/\/team\/tiny@v1: the host localhost is not one of those allowed here/,
  );
  expect(hub.requests).toEqual([]);
  const onlyHub = await probe({ model }, { ...environment, OFFSITE_HTTPS_HOSTS: 'localhost' });
  expect(onlyHub.termination?.['message']).toMatch(/redirected to 127\.0\.0\.1, which is not one of those/);
  expect(hub.requests.some(({ where }) => where === 'files')).toBe(false);
  const asked = hub.requests.length;
  const data = 'https://data.example.com/probe.jsonl';
  const other = await probe({ model, data }, { ...environment, OFFSITE_HTTPS_HOSTS: 'localhost,127.0.0.1' });
  expect(other.termination?.['message']).toMatch(/^spec\.probe\.data\.uri: .*host data\.example\.com is not/);
  expect(hub.requests).toHaveLength(asked);
  const both = await probe({ model }, { ...environment, OFFSITE_HTTPS_HOSTS: 'localhost,127.0.0.1' });
  expect(both.termination, both.text).toMatchObject({ ok: true });
});
