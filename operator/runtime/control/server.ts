import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Registry } from 'prom-client';

export interface HealthServerOptions {
  /** 0 takes a free one. */
  port: number;
  /** All interfaces by default: the kubelet and Prometheus come from outside. */
  host?: string;
  registry: Registry;
  /** Whether the caches are filled. A replica that waits for the lease is ready too. */
  ready: () => boolean;
  /** Whether the process should be let run on; default: yes, if it answers. */
  live?: () => boolean;
}

export interface HealthServer {
  readonly port: number;
  close(): Promise<void>;
}

/** Serves GET /healthz, /readyz and /metrics (Prometheus text). @throws if the port is taken */
export async function startHealthServer(options: HealthServerOptions): Promise<HealthServer> {
  const { registry, ready, live = () => true } = options;
  const server = createServer((request, response) => {
    const path = request.url?.split('?')[0];
    if (request.method !== 'GET' && request.method !== 'HEAD') answer(response, 405, 'only GET');
    else if (path === '/healthz') answer(response, live() ? 200 : 503, live() ? 'ok' : 'not live');
    else if (path === '/readyz') answer(response, ready() ? 200 : 503, ready() ? 'ok' : 'not ready');
    else if (path === '/metrics') void metrics(registry, response);
    else answer(response, 404, 'there are /healthz, /readyz and /metrics');
  });
  server.listen(options.port, options.host);
  await once(server, 'listening');
  return { port: (server.address() as AddressInfo).port, close: () => close(server) };
}

async function metrics(registry: Registry, response: ServerResponse): Promise<void> {
  try {
    answer(response, 200, await registry.metrics(), registry.contentType);
  } catch (error) {
    answer(response, 500, (error as Error).message);
  }
}

function answer(response: ServerResponse, status: number, text: string, type = 'text/plain'): void {
  response.writeHead(status, { 'content-type': type }).end(text.endsWith('\n') ? text : `${text}\n`);
}

async function close(server: Server): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  server.closeAllConnections();
  await closed;
}
