// The HTTP endpoints of the process, for the kubelet's health checks and for Prometheus.
import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
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
  /** The most at a time. */
  connections?: number;
}

export interface HealthServer {
  readonly port: number;
  close(): Promise<void>;
}

/** Any pod of the cluster may ask, without a word of who it is: who asks slowly or reads slowly is cut off. */
const patience = { headersTimeout: 5_000, requestTimeout: 5_000, connectionsCheckingInterval: 1_000 };
const idleTimeout = 10_000;
/** Some times what can come at once, so that who asks as soon as he comes is heard. */
const mostConnections = 1024;
const backlog = 256;
/** Pages that wait for who asked for them to read on: each is a copy. */
const mostPages = 64;

/** Serves GET /healthz, /readyz and /metrics (Prometheus text). @throws if the port is taken */
export async function startHealthServer(options: HealthServerOptions): Promise<HealthServer> {
  const { ready, live = () => true, connections = mostConnections } = options;
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
  server.timeout = idleTimeout;
  server.on('connection', oldestGoesAt(connections));
  server.listen({ port: options.port, host: options.host, backlog });
  await once(server, 'listening');
  return { port: (server.address() as AddressInfo).port, close: () => close(server) };
}

/**
 * A bound on connections at which the newest is let in: were it refused, whoever holds the others with half a request each
 * would keep out the kubelet, which then ends the process.
 */
function oldestGoesAt(most: number): (socket: Socket) => void {
  const open = new Set<Socket>();
  return (socket) => {
    const [oldest] = open;
    if (oldest !== undefined && open.size >= most) {
      open.delete(oldest);
      oldest.destroy();
    }
    open.add(socket);
    socket.once('close', () => open.delete(socket));
  };
}

/** Who asks within a second of another is given the same page: it goes over all resources. */
class MetricsPage {
  readonly #registry: Registry;
  #page: Promise<string> | undefined;
  #unread = 0;

  constructor(registry: Registry) {
    this.#registry = registry;
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** @returns undefined where too many are not read yet */
  async read(response: ServerResponse): Promise<string | undefined> {
    if (this.#unread >= mostPages) return undefined;
    this.#unread++;
    response.once('close', () => this.#unread--);
    this.#page ??= this.#make();
    return await this.#page;
  }

  async #make(): Promise<string> {
    setTimeout(() => (this.#page = undefined), 1000).unref();
    return await this.#registry.metrics();
  }
}

async function metrics(page: MetricsPage, response: ServerResponse): Promise<void> {
  try {
    const text = await page.read(response);
    if (text === undefined) answer(response, 503, 'too many ask');
    else answer(response, 200, text, page.contentType);
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
