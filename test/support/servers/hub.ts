import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { extname, join } from 'node:path';

export interface WebServer {
  port: number;
  close(): Promise<void>;
}

async function listen(server: Server): Promise<WebServer> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as { port: number }).port,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/**
 * A static file server with ranges and ETags, over TLS.
 * @param moved paths and the addresses that they are redirected to
 */
export async function serveFiles(
  directory: string,
  certificate: { cert: string; key: string },
  moved: ReadonlyMap<string, string> = new Map(),
): Promise<WebServer & { asked: string[] }> {
  const tls = { cert: readFileSync(certificate.cert), key: readFileSync(certificate.key) };
  const asked: string[] = [];
  const server = await listen(
    createTlsServer(tls, (request, response) => {
      const path = pathIn(request);
      asked.push(path);
      const location = moved.get(path);
      if (location !== undefined) return void response.writeHead(302, { location }).end();
      sendFile(join(directory, path), request, response);
    }),
  );
  return { ...server, asked };
}

export interface Hub extends WebServer {
  endpoint: string;
  /** Where large files come from. */
  filesPort: number;
  /** What came, in order: host, path, and whether a token was there. */
  requests: { where: 'hub' | 'files'; path: string; token: boolean; range: string | undefined }[];
  /** Cuts the connection after so many bytes of the next large files. */
  cut: { afterBytes: number; times: number };
  /** Files that come with one bit changed on their way. */
  damaged: Set<string>;
  /** The origin that the next pages of the file list are said to be at; the hub's own when undefined. */
  pagesAt: string | undefined;
  /** The origin that large files are redirected to; a plain one of its own when undefined. */
  filesAt: string | undefined;
}

/**
 * Behaves as the hub does: revisions are commits; trees come in pages and tell git's ids, of large files their sha256 too;
 * small files have their git id as ETag; large ones are redirected to another host, which must not see the token that the
 * hub asks for, with X-Linked-Etag and X-Linked-Size of what is there.
 */
export async function startHub(directory: string, token: string): Promise<Hub> {
  const requests: Hub['requests'] = [];
  const cut = { afterBytes: 0, times: 0 };
  const faults: Pick<Hub, 'damaged' | 'pagesAt' | 'filesAt'> = {
    damaged: new Set(),
    pagesAt: undefined,
    filesAt: undefined,
  };
  const note = (where: 'hub' | 'files', request: IncomingMessage) =>
    requests.push({
      where,
      path: request.url ?? '',
      token: request.headers.authorization !== undefined,
      range: request.headers.range,
    });
  const files = await listen(
    createServer((request, response) => {
      note('files', request);
      const path = pathIn(request);
      sendFile(join(directory, path), request, response, { cut, damaged: faults.damaged.has(path.slice(1)) });
    }),
  );
  const commit = 'c0ffee0000000000000000000000000000000000';
  const answer: RequestListener = (request, response) => {
    note('hub', request);
    const url = new URL(request.url ?? '', 'http://hub');
    const json = (value: unknown, headers = {}) =>
      response.writeHead(200, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value));
    if (request.headers.authorization !== `Bearer ${token}`) return void response.writeHead(401).end();
    if (url.pathname === '/api/models/team/tiny/revision/v1') return void json({ sha: commit });
    if (url.pathname === `/api/models/team/tiny/tree/${commit}`) {
      const all = treeOf(directory);
      const start = Number(url.searchParams.get('cursor') ?? 0);
      const next = `${faults.pagesAt ?? `http://${request.headers.host}`}${url.pathname}?recursive=true&cursor=${start + 2}`;
      return void json(
        all.slice(start, start + 2),
        start + 2 < all.length ? { link: `<${next}>; rel="next"` } : {},
      );
    }
    const [, path] = /^\/team\/tiny\/resolve\/c0ffee0+\/(.+)$/.exec(url.pathname) ?? [];
    const entry = treeOf(directory).find((one) => one.path === path);
    if (entry === undefined) return void response.writeHead(404).end();
    const { path: file, oid, lfs, size } = entry;
    response.setHeader('x-repo-commit', commit);
    if (lfs === undefined)
      return sendFile(join(directory, file), request, response, {
        etag: `"${oid}"`,
        damaged: faults.damaged.has(file),
      });
    const linked = { 'x-linked-etag': `"${lfs.oid}"`, 'x-linked-size': size };
    const location = `${faults.filesAt ?? `http://127.0.0.1:${files.port}`}/${file}`;
    response.writeHead(302, { location, ...linked }).end();
  };
  const hub = await listen(createServer(answer));
  const close = async () => {
    await hub.close();
    await files.close();
  };
  return Object.assign(faults, {
    port: hub.port,
    filesPort: files.port,
    endpoint: `http://127.0.0.1:${hub.port}`,
    requests,
    cut,
    close,
  });
}

const isLarge = (path: string) => ['.safetensors', '.bin'].includes(extname(path));

function treeOf(directory: string) {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => {
      const file = join(entry.parentPath, entry.name);
      const path = file.slice(directory.length + 1);
      const content = readFileSync(file);
      const size = content.length;
      if (!isLarge(path)) return { type: 'file', path, size, oid: gitBlob(content), lfs: undefined };
      const oid = createHash('sha256').update(content).digest('hex');
      const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${oid}\nsize ${size}\n`;
      const lfs = { oid, size, pointerSize: pointer.length };
      return { type: 'file', path, size, oid: gitBlob(Buffer.from(pointer)), lfs };
    });
}

const gitBlob = (content: Buffer) =>
  createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex');

const pathIn = ({ url = '' }: IncomingMessage) => decodeURIComponent(new URL(url, 'http://x').pathname);

interface Sending {
  cut?: { afterBytes: number; times: number };
  damaged?: boolean;
  etag?: string;
}

function tagOf(file: string): string {
  const stat = statSync(file, { throwIfNoEntry: false });
  return stat?.isFile() ? `"${createHash('sha1').update(readFileSync(file)).digest('hex')}"` : '';
}

function sendFile(
  file: string,
  request: IncomingMessage,
  response: ServerResponse,
  { cut = { afterBytes: 0, times: 0 }, damaged = false, etag = tagOf(file) }: Sending = {},
): void {
  const stat = statSync(file, { throwIfNoEntry: false });
  if (!stat?.isFile()) return void response.writeHead(404).end();
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
  const content = readFileSync(file).subarray(from);
  if (damaged) content[content.length >> 1]! ^= 1;
  response.writeHead(from > 0 ? 206 : 200, {
    etag,
    'content-length': content.length,
    ...(from > 0 && { 'content-range': `bytes ${from}-${stat.size - 1}/${stat.size}` }),
  });
  if (request.method === 'HEAD') return void response.end();
  if (cut.times > 0 && content.length > cut.afterBytes) {
    cut.times--;
    // Late enough that the other side has written some of it to its disk.
    response.write(content.subarray(0, cut.afterBytes), () => setTimeout(() => response.destroy(), 1000));
    return;
  }
  response.end(content);
}
