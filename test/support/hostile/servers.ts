import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';

/** What a hostile server says lies at a place, and what it sends of each. */
export interface Offered {
  names: readonly string[];
  bytes: Buffer;
}

export type Answer = (request: IncomingMessage, response: ServerResponse, url: URL) => void;

/** A server on loopback that answers as it is told to, and counts what it was asked. */
export class HostileServer {
  answer: Answer = (_, response) => void response.writeHead(404).end();
  asked: string[] = [];
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(tls?: { cert: Buffer; key: Buffer }): Promise<HostileServer> {
    const server = tls === undefined ? createServer() : createTlsServer(tls);
    const hostile = new HostileServer(server);
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      hostile.asked.push(`${request.method} ${request.url}`);
      hostile.answer(request, response, new URL(request.url ?? '', 'http://server'));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return hostile;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

/** An S3 bucket whose keys are what a partner with write access, or a server of the partner's, makes of them. */
export const bucketOf =
  ({ names, bytes }: Offered, prefix: string): Answer =>
  (request, response, url) => {
    if (url.searchParams.get('list-type') === '2') return xml(response, listOf(names, prefix, bytes));
    if (request.method === 'HEAD') return void response.writeHead(404).end();
    response.writeHead(200, { etag: '"v"', 'content-length': bytes.length }).end(bytes);
  };

const listOf = (names: readonly string[], prefix: string, bytes: Buffer) =>
  `<Name>bucket</Name><IsTruncated>false</IsTruncated>${names
    .map((name) => objectOf(`${prefix}${name}`, bytes.length))
    .join('')}`;

export const objectOf = (key: string, size: number, tag = '&quot;v&quot;') =>
  `<Contents><Key>${escaped(key)}</Key><ETag>${tag}</ETag><Size>${size}</Size></Contents>`;

export function xml(response: ServerResponse, inside: string): void {
  response
    .writeHead(200, { 'content-type': 'application/xml' })
    .end(
      `<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${inside}</ListBucketResult>`,
    );
}

/** Also what XML has no place for, as a server that means harm would write it. */
const escaped = (text: string) =>
  text.replaceAll(
    /[&<>\p{Cc}\u2028\u202e\u2067\u200b]/gu,
    (character) => `&#x${(character.codePointAt(0) as number).toString(16)};`,
  );

const commit = 'c0ffee0000000000000000000000000000000000';

/** A repository of a hub, asked for by its folder `bundle`. */
export const repositoryOf =
  ({ names, bytes }: Offered): Answer =>
  (_, response, url) => {
    const path = url.pathname;
    if (path.includes('/revision/')) return json(response, { sha: commit });
    if (path.includes('/tree/'))
      return json(
        response,
        names.map((name) => ({ type: 'file', path: `bundle/${name}`, size: bytes.length, oid: commit })),
      );
    response.writeHead(200, { 'content-length': bytes.length }).end(bytes);
  };

/** An artifact on a web server, by its manifest. */
export const artifactOf =
  ({ names, bytes }: Offered): Answer =>
  (request, response, url) => {
    const manifest = {
      kind: 'Model',
      files: names.map((path) => ({ path, sizeBytes: bytes.length, sha256: '0'.repeat(64) })),
      madeFrom: {},
      hyperparameters: {},
    };
    const isManifest = url.pathname.endsWith('/manifest.json');
    const whole = isManifest ? Buffer.from(JSON.stringify(manifest)) : bytes;
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
    const range = { 'content-range': `bytes ${from}-${whole.length - 1}/${whole.length}` };
    response.writeHead(from > 0 ? 206 : 200, { etag: '"v"', ...(from > 0 && range) });
    response.end(whole.subarray(from));
  };

export function json(response: ServerResponse, value: unknown, headers = {}): void {
  response.writeHead(200, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value));
}
