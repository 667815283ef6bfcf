import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { request as ask, createServer, type Server } from 'node:http';
import {
  type AddressInfo,
  type createServer as createTcpServer,
  connect as dial,
  type Socket,
} from 'node:net';
import { createServer as createTlsServer } from 'node:tls';

interface Listening {
  port: number;
  close(): Promise<void>;
}

async function listening(
  server: ReturnType<typeof createTcpServer> | Server,
  address = '127.0.0.1',
): Promise<Listening> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  server.listen(0, address);
  await once(server, 'listening');
  const close = async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, 'close');
  };
  return { port: (server.address() as AddressInfo).port, close };
}

/** TLS in front of a plain server on this machine. */
export async function behindTls(port: number, certificate: { cert: string; key: string }) {
  const files = { cert: readFileSync(certificate.cert), key: readFileSync(certificate.key) };
  return await listening(createTlsServer(files, (client) => join(client, dial(port, '127.0.0.1'))));
}

/**
 * The one way out of a network whose names nobody else knows: an HTTP proxy that forwards plain requests and makes tunnels.
 * @param hosts the servers behind it: the port on this machine of each name
 * @param address where it listens; loopback when absent
 */
export async function startProxy(hosts: ReadonlyMap<string, number>, credentials?: string, address?: string) {
  const asked: string[] = [];
  const expected = credentials && `Basic ${Buffer.from(credentials).toString('base64')}`;
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '', 'http://nobody');
    const port = hosts.get(url.hostname);
    asked.push(`${request.method} ${url.hostname}`);
    if (port === undefined) return void response.writeHead(502).end();
    const { pathname, search } = url;
    const { method, headers } = request;
    const onward = ask({ host: '127.0.0.1', port, path: pathname + search, method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    request.pipe(onward);
  });
  server.on('connect', (request, client: Socket) => {
    const [host = ''] = (request.url ?? '').split(':');
    asked.push(`CONNECT ${host}`);
    const port = hosts.get(host);
    if (expected && request.headers['proxy-authorization'] !== expected)
      return void client.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n');
    if (port === undefined) return void client.end('HTTP/1.1 502 Bad Gateway\r\n\r\n');
    const onward = dial(port, '127.0.0.1', () => client.write('HTTP/1.1 200 OK\r\n\r\n'));
    join(client, onward);
  });
  return { ...(await listening(server, address)), asked };
}

function join(one: Socket, other: Socket): void {
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    from.pipe(to);
    from.on('error', () => to.destroy());
    from.on('close', () => to.destroy());
  }
}
