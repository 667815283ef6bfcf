// The HTTP endpoints of the process, for the kubelet's health checks and for Prometheus.
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

/** Any pod of the cluster may ask, without a word of who it is: who asks slowly or reads slowly is cut off. */
const patience = { headersTimeout: 5_000, requestTimeout: 5_000, connectionsCheckingInterval: 1_000 };
const idleTimeout = 10_000;
const mostConnections = 256;

/** Serves GET /healthz, /readyz and /metrics (Prometheus text). @throws if the port is taken */
export async function startHealthServer(options: HealthServerOptions): Promise<HealthServer> {
  const { ready, live = () => true } = options;
  const page = new MetricsPage(options.registry);
  const server = createServer(patience, (request, response) => {
    const path = request.url?.split('?')[0];
    if (request.method !== 'GET' && request.method !== 'HEAD') answer(response, 405, 'only GET');
    else if (path === '/healthz') answer(response, live() ? 200 : 503, live() ? 'ok' : 'not live');
    else if (path === '/readyz') answer(response, ready() ? 200 : 503, ready() ? 'ok' : 'not ready');
    else if (path === '/metrics') void metrics(page, response);
    else answer(response, 404, 'there are /healthz, /readyz and /metrics');
  });
  // Requests that stand one behind the other in a packet would all be answered at once.
  server.maxRequestsPerSocket = 1;
  server.maxConnections = mostConnections;
  server.timeout = idleTimeout;
  server.listen(options.port, options.host);
  await once(server, 'listening');
  return { port: (server.address() as AddressInfo).port, close: () => close(server) };
}

/** Who asks within a second of another is given the same page: it goes over all resources. */
class MetricsPage {
  readonly #registry: Registry;
  #page: Promise<string> | undefined;

  constructor(registry: Registry) {
    this.#registry = registry;
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  read(): Promise<string> {
    this.#page ??= this.#make();
    return this.#page;
  }

  async #make(): Promise<string> {
    setTimeout(() => (this.#page = undefined), 1000).unref();
    return await this.#registry.metrics();
  }
}

async function metrics(page: MetricsPage, response: ServerResponse): Promise<void> {
  try {
    answer(response, 200, await page.read(), page.contentType);
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
