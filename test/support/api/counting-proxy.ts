import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import {
  Agent,
  createServer,
  type IncomingMessage,
  request as plainRequest,
  type ServerResponse,
} from 'node:http';
import { Agent as TlsAgent, request as tlsRequest } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { KubeConfig } from '@kubernetes/client-node';

/** One write that the API server has accepted. */
export interface Write {
  method: string;
  /** Without the query. */
  path: string;
  status: number;
}

/**
 * Stands between an operator and the API server and counts its writes. After the n-th accepted write it calls `onWrite`
 * before the operator can hear of it: who is killed there does not know that the write has happened.
 */
export class CountingProxy {
  readonly writes: Write[] = [];
  readonly requests = new Map<string, number>();
  /** Called after each accepted write, with its number from 1, before it is answered. */
  onWrite: (write: Write, number: number) => void = () => {};
  /** Leases renew themselves for ever; they are no part of the work. */
  readonly #counts = ({ method, path, status }: Write) =>
    method !== 'GET' && status < 300 && !path.includes('/leases');
  readonly #server = createServer((request, response) => void this.#forward(request, response));
  readonly #upstream: { url: URL; options: object };
  readonly #agent: Agent | TlsAgent;

  private constructor(upstream: { url: URL; options: object }) {
    this.#upstream = upstream;
    this.#agent = new (upstream.url.protocol === 'https:' ? TlsAgent : Agent)({ keepAlive: true });
  }

  /** @param kubeconfig whose rights the requests have */
  static async start(kubeconfig: string): Promise<CountingProxy> {
    const config = new KubeConfig();
    config.loadFromFile(kubeconfig);
    const options = {};
    await config.applyToHTTPSOptions(options);
    const proxy = new CountingProxy({ url: new URL(config.getCurrentCluster()!.server), options });
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  /** Writes a kubeconfig that leads here. @returns its path */
  kubeconfig(directory: string): string {
    const path = join(directory, `proxy-${this.#port}.kubeconfig`);
    const server = `http://127.0.0.1:${this.#port}`;
    const named = { name: 'proxy' };
    const config = {
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'proxy',
      clusters: [{ ...named, cluster: { server, 'insecure-skip-tls-verify': true } }],
      users: [{ ...named, user: {} }],
      contexts: [{ ...named, context: { cluster: 'proxy', user: 'proxy' } }],
    };
    writeFileSync(path, JSON.stringify(config));
    return path;
  }

  reset(): void {
    this.writes.length = 0;
    this.requests.clear();
    this.onWrite = () => {};
  }

  async stop(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    this.#agent.destroy();
    await closed;
  }

  get #port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async #forward(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const { method = 'GET', url = '' } = incoming;
    const path = url.split('?')[0]!;
    try {
      const body = Buffer.concat(await incoming.toArray());
      const response = await this.#send(incoming, body);
      const status = response.statusCode ?? 502;
      this.#count(method, url);
      outgoing.on('close', () => response.destroy());
      const write = { method, path, status };
      if (this.#counts(write)) {
        const answer = Buffer.concat(await response.toArray());
        this.writes.push(write);
        this.onWrite(write, this.writes.length);
        outgoing.writeHead(status, response.headers).end(answer);
        return;
      }
      outgoing.writeHead(status, response.headers);
      outgoing.flushHeaders();
      response.on('error', () => outgoing.destroy());
      response.pipe(outgoing);
    } catch {
      outgoing.destroy();
    }
  }

  #count(method: string, url: string): void {
    const [, kind = ''] =
      /\/(?:namespaces\/[^/]+\/)?([a-z]+)(?:\/[^/]+)?(?:\/status)?(?:\?|$)/.exec(url) ?? [];
    const verb = url.includes('watch=true') ? 'WATCH' : method;
    const key = `${verb} ${kind}${/\/status(\?|$)/.test(url) ? '/status' : ''}`;
    this.requests.set(key, (this.requests.get(key) ?? 0) + 1);
  }

  #send(incoming: IncomingMessage, body: Buffer): Promise<IncomingMessage> {
    const { url, options } = this.#upstream;
    const { host: _, connection: __, 'transfer-encoding': ___, ...headers } = incoming.headers;
    const send = url.protocol === 'https:' ? tlsRequest : plainRequest;
    return new Promise((resolve, reject) => {
      const request = send(
        {
          ...options,
          agent: this.#agent,
          host: url.hostname,
          port: url.port,
          method: incoming.method,
          path: incoming.url,
          headers,
        } as object,
        resolve,
      );
      request.on('error', reject);
      request.end(body);
    });
  }
}
