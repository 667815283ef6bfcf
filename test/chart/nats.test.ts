import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { connect, credsAuthenticator } from 'nats';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { RunCredentials } from '../../operator/progress/index.ts';
import { openPublisher, whyUnreachable } from '../../src/progress/index.ts';
import { one, release, render } from '../support/chart/helm.ts';
import { modes } from '../support/chart/modes.ts';
import { Authority } from '../support/cluster/certificates.ts';
import { freePort } from '../support/cluster/ports.ts';

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
const authority = new Authority(directory);
const certificate = authority.issue('tls', 'nats', [], ['localhost']);
const servers: ChildProcess[] = [];
let port: number;
let monitor: number;

const name = `${release.name}-nats`;
const configuration = (mode: object) => one(render(mode), 'ConfigMap', name)['data']['nats.conf'] as string;
const container = one(render(), 'StatefulSet')['spec'].template.spec.containers[0];

beforeAll(async () => {
  await credentials.ensure();
  writeFileSync(join(directory, 'auth.conf'), values['auth.conf'] as string);
  ({ port, monitor } = await start('plain', {}));
});

/** What the pod's own network and volumes give. */
async function start(name: string, mode: object) {
  const [port, monitor] = [await freePort(), await freePort()];
  const here = withCertificate(configuration(mode))
    .replace('0.0.0.0:4222', `127.0.0.1:${port}`)
    .replace('127.0.0.1:8222', `127.0.0.1:${monitor}`)
    .replace('/data', join(directory, `data-${name}`));
  const file = join(directory, `${name}.conf`);
  writeFileSync(file, here);
  servers.push(spawn(program, ['--config', file], { stdio: 'ignore' }));
  return { port, monitor };
}

const withCertificate = (text: string) =>
  text.replace('/etc/nats-tls/tls.crt', certificate.cert).replace('/etc/nats-tls/tls.key', certificate.key);

afterAll(async () => {
  for (const server of servers) if (server.exitCode === null && server.kill()) await once(server, 'exit');
  rmSync(directory, { recursive: true, force: true });
});

it.each(Object.keys(modes).filter((mode) => mode !== 'external NATS'))(
  'nats-server takes the configuration, %s',
  (mode) => {
    writeFileSync(join(directory, 'check.conf'), withCertificate(configuration(modes[mode]!)));
    execFileSync(program, ['-t', '--config', join(directory, 'check.conf')], { stdio: 'pipe' });
  },
);

it('answers the probes of its pod, once its streams are there', async () => {
  expect(container.command[0]).toBe('nats-server');
  for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe'])
    expect(container[probe].tcpSocket).toEqual({ port: 'nats' });
  expect(container.ports).toEqual([{ name: 'nats', containerPort: 4222 }]);
  await untilOpen(port);
  const { status } = await fetch(`http://127.0.0.1:${monitor}/healthz`);
  expect(status).toBe(200);
});

it('tells names and inboxes of runs to nobody outside of its pod', () => {
  for (const mode of Object.keys(modes).filter((mode) => mode !== 'external NATS'))
    expect(
      configuration(modes[mode]!).match(/^\s*(http|https|monitor_port|http_port|https_port)\b.*$/gm),
    ).toEqual(['    http: "127.0.0.1:8222"'.trimStart()]);
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

it('cuts off who reads nothing, and runs hear one subject', async () => {
  const url = `nats://127.0.0.1:${port}`;
  const connected = (credentials: string) =>
    connect({
      servers: url,
      reconnect: false,
      authenticator: credsAuthenticator(new TextEncoder().encode(credentials)),
    });
  const run = await connected(
    await credentials.issue({ namespace: 'data', kind: 'OffsiteTune', name: 'words', uid: 'u-1' }),
  );
  const told = run.status();
  for (const subject of ['_INBOX_u-1.a', '_INBOX_u-1.b']) run.subscribe(subject, { callback: () => {} });
  for await (const { type, data } of told) {
    expect([type, data]).toEqual(['error', 'NATS_PROTOCOL_ERR']);
    break;
  }
  await run.close();

  const [deaf, loud] = [await connected(credentials.operator), await connected(credentials.operator)];
  deaf.subscribe('deaf', { callback: () => {} });
  await deaf.flush();
  // What the client's own socket would take from the server's memory.
  (deaf as unknown as { protocol: { transport: { socket: Socket } } }).protocol.transport.socket.pause();
  for (let i = 0; i < 160; i++) loud.publish('deaf', new Uint8Array(250_000));
  await loud.flush();
  const { slow_consumers: slow } = (await (await fetch(`http://127.0.0.1:${monitor}/varz`)).json()) as {
    slow_consumers: number;
  };
  expect(slow).toBe(1);
  await Promise.all([deaf.close(), loud.close()]);
});

it('speaks TLS, and only that, where it is given a certificate: runs know its authority by their Secret', async () => {
  const { port } = await start('tls', { nats: { tls: { secretName: 'nats-tls' } } });
  await untilOpen(port);
  const credentialsText = credentials.operator;
  const ask = (url: string, environment: NodeJS.ProcessEnv) =>
    whyUnreachable({ url: `${url}://localhost:${port}`, credentialsText, environment });
  expect(await ask('tls', { NATS_CA: authority.own.cert })).toBeUndefined();
  expect(await ask('tls', {})).toBeDefined();
  expect(await ask('nats', {})).toBeDefined();
});

/** As a probe of a socket asks. */
async function untilOpen(port: number): Promise<void> {
  for (const end = Date.now() + 60_000; ; await sleep(100)) {
    const socket = createConnection(port, '127.0.0.1');
    const opened = await once(socket, 'connect').then(
      () => true,
      () => false,
    );
    socket.destroy();
    if (opened) return;
    if (Date.now() > end) throw new Error(`port ${port} does not open`);
  }
}
