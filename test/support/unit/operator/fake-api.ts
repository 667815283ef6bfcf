import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Credentials, KubeObject, ResourceType } from '../../../../operator/runtime/index.ts';

export const things: ResourceType = {
  group: 'test.dev',
  version: 'v1',
  plural: 'things',
  kind: 'Thing',
  namespaced: true,
};

export interface Thing extends KubeObject {
  value: number;
}

/** What a kubeconfig for a plain HTTP server on loopback would say; the real one takes seconds to load. */
export const configFor = (port: number): Credentials => ({
  getCurrentCluster: () => ({ name: 'fake', server: `http://127.0.0.1:${port}`, skipTLSVerify: true }),
  applyToHTTPSOptions: async (options) => {
    options.headers = { Authorization: 'Bearer secret-token' };
  },
});

/** How one answer goes wrong; taken in order, each by one request. */
export type Fault =
  | { at: 'list' | 'watch'; kind: 'status'; status: number; retryAfter?: string }
  | { at: 'list' | 'watch'; kind: 'reset' }
  | { at: 'list'; kind: 'garbage' }
  /** The continue token has expired when the second page is asked for. */
  | { at: 'list'; kind: 'expired' }
  | { at: 'watch'; kind: 'hang' };

type EventType = 'ADDED' | 'MODIFIED' | 'DELETED';
interface PastEvent {
  type: EventType;
  version: number;
  object: Thing;
}

/**
 * The list and watch of an API server for one kind, in memory, that goes wrong on demand: in single answers (`faults`) or
 * in the watches that are open now (`cut`, `garbage`, ...).
 */
export class FakeApi {
  readonly faults: Fault[] = [];
  readonly requests: { verb: 'list' | 'watch'; url: URL; headers: IncomingMessage['headers'] }[] = [];
  readonly objects = new Map<string, Thing>();
  /** While set, events are held back and then sent in this changed order. */
  reorder = false;
  /** Events are kept, but watches never hear of them. */
  mute = false;
  /** While set, every list is answered with this status. */
  refusesLists: number | undefined;
  /** Every event comes twice. */
  double = false;
  readonly #server: Server;
  readonly #watches = new Map<ServerResponse, { hangs: boolean }>();
  #history: PastEvent[] = [];
  #heldBack: PastEvent[] = [];
  #version = 100;
  #oldest = 0;
  #uids = 0;
  readonly #hidden = new Map<string, string>();

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(): Promise<FakeApi> {
    const server = createServer();
    const api = new FakeApi(server);
    server.on('request', (request, response) => api.#answer(request, response));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return api;
  }

  get config(): Credentials {
    return configFor((this.#server.address() as AddressInfo).port);
  }

  get openWatches(): number {
    return this.#watches.size;
  }

  put(name: string, value: number): void {
    const old = this.objects.get(name);
    const metadata = {
      name,
      namespace: 'default',
      uid: old?.metadata.uid ?? this.#hidden.get(name) ?? `uid-${++this.#uids}`,
      resourceVersion: String(++this.#version),
      managedFields: [{ manager: 'somebody' }],
    };
    const object: Thing = { apiVersion: 'test.dev/v1', kind: 'Thing', metadata, value };
    this.objects.set(name, object);
    this.#hidden.delete(name);
    this.#happened({ type: old ? 'MODIFIED' : 'ADDED', version: this.#version, object });
  }

  remove(name: string): void {
    const old = this.objects.get(name);
    if (!old) return;
    this.objects.delete(name);
    const metadata = { ...old.metadata, resourceVersion: String(++this.#version) };
    this.#happened({ type: 'DELETED', version: this.#version, object: { ...old, metadata } });
  }

  /** Its labels leave the selector: a deletion to who watches; `put` puts them back. */
  hide(name: string): void {
    const uid = this.objects.get(name)?.metadata.uid;
    this.remove(name);
    if (uid !== undefined) this.#hidden.set(name, uid);
  }

  /** Ends reordering: what was held back is sent, newest first. */
  releaseReversed(): void {
    this.reorder = false;
    for (const event of this.#heldBack.splice(0).reverse()) this.#send(event);
  }

  bookmark(): void {
    this.#writeAll(line('BOOKMARK', { kind: 'Thing', metadata: { resourceVersion: String(this.#version) } }));
  }

  garbage(): void {
    this.#writeAll('{"type": "ADDED", "obj\n');
  }

  errorEvent(code: number, reason: string): void {
    this.#writeAll(line('ERROR', { kind: 'Status', code, reason, message: reason }));
  }

  /** Half a line, then a reset. */
  cutInLine(): void {
    for (const response of this.#watches.keys()) {
      response.write('{"type":"MODIFIED","object":{"metadata":{"name":"a"');
      response.socket?.resetAndDestroy();
    }
  }

  cut(): void {
    for (const response of this.#watches.keys()) response.socket?.resetAndDestroy();
  }

  /** The server ends the watches in an orderly way. */
  end(): void {
    for (const response of this.#watches.keys()) response.end();
    this.#watches.clear();
  }

  /** Half-open: the connections stay, and nothing comes any more. */
  hang(): void {
    for (const state of this.#watches.values()) state.hangs = true;
  }

  /** Versions up to now can no longer be watched from. */
  compact(): void {
    this.#oldest = this.#version;
    this.#history = [];
  }

  async stop(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  #happened(event: PastEvent): void {
    this.#history.push(event);
    if (this.mute) return;
    if (this.reorder) this.#heldBack.push(event);
    else this.#send(event);
  }

  #send(event: PastEvent): void {
    const text = line(event.type, event.object);
    this.#writeAll(this.double ? text + text : text);
  }

  #writeAll(text: string): void {
    for (const [response, { hangs }] of this.#watches) if (!hangs) response.write(text);
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url!, 'http://fake');
    const verb = url.searchParams.get('watch') === 'true' ? 'watch' : 'list';
    this.requests.push({ verb, url, headers: request.headers });
    if (verb === 'list' && this.refusesLists !== undefined) {
      fail(response, this.refusesLists);
      return;
    }
    if (this.#goesWrong(verb, url, response)) return;
    if (verb === 'list') this.#list(url, response);
    else this.#watch(Number(url.searchParams.get('resourceVersion')), response, false);
  }

  #goesWrong(verb: 'list' | 'watch', url: URL, response: ServerResponse): boolean {
    const fault = this.faults[0];
    if (fault?.at !== verb) return false;
    if (fault.kind === 'expired' && !url.searchParams.has('continue')) return false;
    this.faults.shift();
    if (fault.kind === 'status') fail(response, fault.status, fault.retryAfter);
    else if (fault.kind === 'expired') fail(response, 410);
    else if (fault.kind === 'reset') response.socket?.resetAndDestroy();
    else if (fault.kind === 'garbage') response.end('<html>');
    else this.#watch(this.#version, response, true);
    return true;
  }

  #list(url: URL, response: ServerResponse): void {
    const limit = Number(url.searchParams.get('limit') ?? Number.POSITIVE_INFINITY);
    const start = Number(url.searchParams.get('continue') ?? 0);
    const all = [...this.objects.values()];
    const more = all.length > start + limit ? { continue: String(start + limit) } : {};
    const items = all.slice(start, start + limit).map(({ metadata, value }) => ({ metadata, value }));
    response.end(JSON.stringify({ items, metadata: { resourceVersion: String(this.#version), ...more } }));
  }

  #watch(from: number, response: ServerResponse, hangs: boolean): void {
    response.writeHead(200).flushHeaders();
    if (from < this.#oldest) {
      response.end(line('ERROR', { kind: 'Status', code: 410, reason: 'Expired', message: 'too old' }));
      return;
    }
    if (!hangs && !this.mute) {
      for (const { type, version, object } of this.#history) {
        if (version > from) response.write(line(type, object));
      }
    }
    this.#watches.set(response, { hangs });
    response.on('close', () => this.#watches.delete(response));
  }
}

const line = (type: string, object: object) => `${JSON.stringify({ type, object })}\n`;

function fail(response: ServerResponse, status: number, retryAfter?: string): void {
  response.writeHead(status, retryAfter === undefined ? {} : { 'retry-after': retryAfter });
  response.end(JSON.stringify({ kind: 'Status', code: status, message: `fails with ${status}` }));
}

/** Waits until the condition holds. @throws after a time, saying what it waited for */
export async function eventually(
  what: string,
  holds: () => boolean,
  limitMilliseconds = 8000,
): Promise<void> {
  const giveUpAt = performance.now() + limitMilliseconds;
  while (!holds()) {
    if (performance.now() > giveUpAt) throw new Error(`waited ${limitMilliseconds} ms in vain for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
