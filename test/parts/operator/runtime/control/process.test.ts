import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KubeConfig } from '@kubernetes/client-node';
import { Registry } from 'prom-client';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { KubeTransport } from '../../../../../operator/runtime/api/transport.ts';
import { backoffAfter } from '../../../../../operator/runtime/backoff.ts';
import {
  RateLimit,
  RuntimeMetrics,
  runUntilTold,
  startHealthServer,
} from '../../../../../operator/runtime/index.ts';

const quiet = { debug: vi.fn(), info: vi.fn(), warn: vi.fn(), error: vi.fn() };
afterEach(() => void vi.useRealTimers());

describe('the health server', () => {
  it('tells health, readiness and metrics', async () => {
    const metrics = new RuntimeMetrics();
    const state = { ready: false, live: true };
    const server = await startHealthServer({
      port: 0,
      host: '127.0.0.1',
      registry: metrics.registry,
      ready: () => state.ready,
      live: () => state.live,
    });
    const get = async (path: string, method = 'GET') => {
      const response = await fetch(`http://127.0.0.1:${server.port}${path}`, { method });
      return `${response.status} ${(await response.text()).trim()}`;
    };
    expect([await get('/healthz'), await get('/readyz')]).toEqual(['200 ok', '503 not ready']);
    state.ready = true;
    state.live = false;
    expect([await get('/healthz'), await get('/readyz')]).toEqual(['503 not live', '200 ok']);
    expect(await get('/metrics')).toContain('offsite_operator_leading 0');
    expect(await get('/other')).toMatch(/^404/);
    expect(await get('/metrics', 'POST')).toMatch(/^405/);
    await server.close();
    await expect(get('/healthz')).rejects.toThrow();
  });

  it('is not held up by who asks for the metrics a thousand times at once, and reads nothing', async () => {
    let pages = 0;
    const registry = new Registry();
    vi.spyOn(registry, 'metrics').mockImplementation(async () => {
      pages++;
      return 'x'.repeat(100_000);
    });
    const server = await startHealthServer({ port: 0, host: '127.0.0.1', registry, ready: () => true });
    const deaf = createConnection(server.port, '127.0.0.1').pause();
    await once(deaf, 'connect');
    deaf.write('GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(1800));
    await vi.waitFor(() => expect(pages).toBeGreaterThan(0), { timeout: 30_000 });
    const answers = await Promise.all(
      Array.from({ length: 20 }, async () => (await fetch(`http://127.0.0.1:${server.port}/metrics`)).status),
    );
    expect(answers).toEqual(Array(20).fill(200));
    expect(pages).toBeLessThanOrEqual(21);
    deaf.destroy();
    await server.close();
  });
});

describe('connections to the health server', () => {
  it('by the hundred that never say a whole request keep nobody out: the oldest of them goes', async () => {
    const registry = new Registry();
    const most = 16;
    const server = await startHealthServer({
      port: 0,
      host: '127.0.0.1',
      registry,
      ready: () => true,
      connections: most,
    });
    const closed: number[] = [];
    const idle = [];
    for (let i = 0; i < 100; i++) {
      const socket = createConnection(server.port, '127.0.0.1', () =>
        socket.write('GET /healthz HTTP/1.1\r\nX: '),
      );
      socket.on('error', () => {}).on('close', () => closed.push(i));
      await once(socket, 'connect');
      idle.push(socket);
    }
    const answer = await fetch(`http://127.0.0.1:${server.port}/healthz`);
    expect([answer.status, await answer.text()]).toEqual([200, 'ok\n']);
    await vi.waitFor(() => expect(closed.length).toBe(100 + 1 - most), { timeout: 30_000 });
    expect(closed.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 100 + 1 - most }, (_, i) => i));
    for (const socket of idle) socket.destroy();
    await server.close();
  });

  it('are given no more pages of metrics at once than may wait to be read', async () => {
    const registry = new Registry();
    let write = (_: string) => {};
    const page = new Promise<string>((resolve) => (write = resolve));
    vi.spyOn(registry, 'metrics').mockImplementation(() => page);
    const server = await startHealthServer({ port: 0, host: '127.0.0.1', registry, ready: () => true });
    const answers: number[] = [];
    const ask = async () => answers.push((await fetch(`http://127.0.0.1:${server.port}/metrics`)).status);
    const asked = Array.from({ length: 70 }, ask);
    await vi.waitFor(() => expect(answers).toEqual(Array(6).fill(503)), { timeout: 30_000 });
    write('a 1');
    await Promise.all([...asked, ...asked.slice(0, 6).map(ask)]);
    expect(answers.slice(6)).toEqual(Array(70).fill(200));
    await server.close();
  });
});

describe('a process', () => {
  it('ends with 0 when its work ends after SIGTERM', async () => {
    const work = (signal: AbortSignal) =>
      new Promise<void>((resolve) => signal.addEventListener('abort', () => setTimeout(resolve, 20)));
    const code = runUntilTold(work, { log: quiet });
    process.emit('SIGTERM', 'SIGTERM');
    process.emit('SIGTERM', 'SIGTERM');
    expect(await code).toBe(0);
    expect(process.listenerCount('SIGTERM')).toBe(0);
  });

  it('ends with 1 when its work fails, or is not done in time', async () => {
    expect(await runUntilTold(() => Promise.reject(new Error('broken')), { log: quiet })).toBe(1);
    const code = runUntilTold(() => new Promise(() => {}), { log: quiet, graceMilliseconds: 10 });
    process.emit('SIGINT', 'SIGINT');
    expect(await code).toBe(1);
  });

  it('ends with 0 when its work throws that it was told to end', async () => {
    const work = (signal: AbortSignal) =>
      new Promise<void>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    const code = runUntilTold(work, { log: quiet });
    process.emit('SIGTERM', 'SIGTERM');
    expect(await code).toBe(0);
  });
});

describe('waits', () => {
  it('double up to the longest, less a jitter', () => {
    const waits = [0, 1, 2, 3, 4, 5, 2000].map((n) =>
      backoffAfter(n, { first: 100, longest: 1000 }, () => 0),
    );
    expect(waits).toEqual([0, 100, 200, 400, 800, 1000, 1000]);
    expect(backoffAfter(2, { first: 100, longest: 1000, jitter: 0.5 }, () => 1)).toBe(100);
  });

  it('a rate limit lets a burst pass and then so many a second, in order', async () => {
    vi.useFakeTimers();
    const limit = new RateLimit({ perSecond: 10, burst: 3 });
    const passed: string[] = [];
    const start = performance.now();
    for (let i = 0; i < 6; i++) {
      void limit.take().then(() => passed.push(`${i} ${performance.now() - start}`));
    }
    await vi.advanceTimersByTimeAsync(1000);
    expect(passed).toEqual(['0 0', '1 0', '2 0', '3 100', '4 200', '5 300']);
    expect([1, 2, 3, 4].map(() => limit.tryTake())).toEqual([true, true, true, false]);
  });
});

describe('credentials of a real kubeconfig', () => {
  it('come from token files and exec plugins; a wrong context is told', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'offsite-credentials-'));
    const seen: string[] = [];
    const { createServer } = await import('node:http');
    const server = createServer((request, response) => {
      seen.push(request.headers.authorization ?? 'none');
      response.end('{}');
    }).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as { port: number };
    const cluster = { name: 'c', server: `http://127.0.0.1:${port}`, skipTLSVerify: true };
    const send = async (user: object) => {
      const config = new KubeConfig();
      config.loadFromClusterAndUser(cluster, { name: 'u', ...user });
      const transport = new KubeTransport(config);
      await transport.send({ method: 'GET', path: '/', what: 'get', timeoutMilliseconds: 5000 });
      transport.close();
    };
    try {
      writeFileSync(join(directory, 'token'), 'from-file');
      await send({ authProvider: { name: 'tokenFile', config: { tokenFile: join(directory, 'token') } } });
      const credential = { apiVersion: 'client.authentication.k8s.io/v1', status: { token: 'from-plugin' } };
      await send({
        exec: { command: process.execPath, args: ['-p', JSON.stringify(JSON.stringify(credential))] },
      });
      expect(seen).toEqual(['Bearer from-file', 'Bearer from-plugin']);
      expect(() => new KubeTransport(new KubeConfig())).toThrow('has no cluster');
    } finally {
      server.close();
      server.closeAllConnections();
      rmSync(directory, { recursive: true });
    }
  });
});
