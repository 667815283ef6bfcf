import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { connect, credsAuthenticator } from 'nats';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { RunCredentials } from '../../operator/progress/index.ts';
import { openPublisher } from '../../src/progress/index.ts';
import { freePort } from '../cluster/ports.ts';
import { one, release, render } from './helm.ts';
import { modes } from './modes.ts';

// The server as its pod runs it: the chart's configuration, the keys of the operator's Secret beside it.
const directory = mkdtempSync(join(tmpdir(), 'offsite-chart-nats-'));
const program = execFileSync(fileURLToPath(new URL('../../scripts/setup/nats-server.sh', import.meta.url)), {
  encoding: 'utf8',
}).trim();
const values: Record<string, string> = {};
const credentials = new RunCredentials({
  store: {
    get: async () => (Object.keys(values).length > 0 ? values : undefined),
    create: async (made) => Boolean(Object.assign(values, made)),
  },
});
let server: ChildProcess;
let port: number;
let monitor: number;

const name = `${release.name}-nats`;
const configuration = (mode: object) => one(render(mode), 'ConfigMap', name)['data']['nats.conf'] as string;
const container = one(render(), 'StatefulSet')['spec'].template.spec.containers[0];

beforeAll(async () => {
  await credentials.ensure();
  writeFileSync(join(directory, 'auth.conf'), values['auth.conf'] as string);
  // What the pod's own network and volumes give.
  [port, monitor] = [await freePort(), await freePort()];
  const here = configuration({})
    .replace('0.0.0.0:4222', `127.0.0.1:${port}`)
    .replace('0.0.0.0:8222', `127.0.0.1:${monitor}`)
    .replace('/data', join(directory, 'data'));
  writeFileSync(join(directory, 'nats.conf'), here);
  server = spawn(program, ['--config', join(directory, 'nats.conf')], { stdio: 'ignore' });
});

afterAll(async () => {
  if (server.exitCode === null && server.kill()) await once(server, 'exit');
  rmSync(directory, { recursive: true, force: true });
});

it.each(Object.keys(modes).filter((mode) => mode !== 'external NATS'))(
  'nats-server takes the configuration, %s',
  (mode) => {
    writeFileSync(join(directory, 'check.conf'), configuration(modes[mode]!));
    execFileSync(program, ['-t', '--config', join(directory, 'check.conf')], { stdio: 'pipe' });
  },
);

it('answers the probes of its pod', async () => {
  expect(container.command[0]).toBe('nats-server');
  for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe'])
    await untilOk(`http://127.0.0.1:${monitor}${container[probe].httpGet.path}`);
});

it('lets in the operator and runs, and nobody without a key', async () => {
  const url = `nats://127.0.0.1:${port}`;
  await expect(connect({ servers: url, reconnect: false })).rejects.toThrow(/authorization/i);
  const authenticator = credsAuthenticator(new TextEncoder().encode(credentials.operator));
  const operator = await connect({ servers: url, authenticator });
  const heard = operator.subscribe('offsite.v1.>', { max: 1 });
  await operator.flush();

  const run = { namespace: 'data', kind: 'OffsiteTune', name: 'words', uid: 'u-1' };
  const publisher = openPublisher({ url, credentialsText: await credentials.issue(run), environment: {} });
  const { kind, ...metadata } = run;
  publisher.publish(
    { kind, metadata },
    { type: 'progress', stage: 'tune', progressPercentage: 5, metrics: [] },
  );
  for await (const { subject } of heard)
    expect(subject).toBe('offsite.v1.data.OffsiteTune.words.u-1.progress');
  await publisher.close();
  await operator.close();
});

async function untilOk(url: string): Promise<void> {
  for (const end = Date.now() + 60_000; ; await sleep(100)) {
    const status = await fetch(url).then(
      (response) => response.status,
      () => 0,
    );
    if (status === 200) return;
    if (Date.now() > end) throw new Error(`${url}: ${status}`);
  }
}
