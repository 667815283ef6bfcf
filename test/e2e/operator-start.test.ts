/** The operator's process while what it needs is not there yet. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { freePort } from '../support/cluster/ports.ts';

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step();
});

/** An API server that refuses everything, and a kubeconfig for it. */
async function refusingApi() {
  const server = createServer((_, response) => {
    response.writeHead(403).end(JSON.stringify({ kind: 'Status', code: 403, reason: 'Forbidden' }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanUp.push(() => server.close());
  const directory = mkdtempSync(join(tmpdir(), 'offsite-start-'));
  cleanUp.push(() => rmSync(directory, { recursive: true }));
  const kubeconfig = join(directory, 'kubeconfig');
  const { port } = server.address() as AddressInfo;
  writeFileSync(
    kubeconfig,
    JSON.stringify({
      clusters: [{ name: 'c', cluster: { server: `http://127.0.0.1:${port}` } }],
      users: [{ name: 'u', user: {} }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
      'current-context': 'x',
    }),
  );
  return kubeconfig;
}

test('it is alive and not ready while the keys of NATS are refused, and ends when told', async () => {
  const port = await freePort();
  const flags = ['--worker-image', 'w', '--metrics-port', `${port}`, '--nats-url', 'nats://127.0.0.1:1'];
  const operator = spawn(process.execPath, ['operator/main.ts', ...flags], {
    env: { PATH: process.env['PATH'], KUBECONFIG: await refusingApi() },
    stdio: 'ignore',
  });
  cleanUp.push(() => operator.kill('SIGKILL'));
  const status = async (path: string) => (await fetch(`http://127.0.0.1:${port}${path}`)).status;
  await vi.waitFor(async () => expect(await status('/healthz')).toBe(200), {
    timeout: 120_000,
    interval: 50,
  });
  expect(await status('/readyz')).toBe(503);
  expect(await status('/metrics')).toBe(200);
  operator.kill('SIGTERM');
  expect(await once(operator, 'exit')).toEqual([0, null]);
});
