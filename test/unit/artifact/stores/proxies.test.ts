// Whom NO_PROXY names, of the clients of all stores alike.
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { HttpClient } from '../../../../src/artifact/stores/http.ts';
import { type Proxies, proxiesFor, proxiesOf } from '../../../../src/artifact/stores/proxies.ts';
import { S3Store } from '../../../../src/artifact/stores/s3.ts';

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

/** A server that says of each request who it is. */
async function answering(name: string, asked: string[]): Promise<string> {
  const server = createServer((_, response) => {
    asked.push(name);
    response.writeHead(404).end();
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test.each<[string, string, boolean]>([
  ['10.1.2.3', '.svc,10.0.0.0/8', true],
  ['11.1.2.3', '.svc,10.0.0.0/8', false],
  ['[fd00:1::7]', 'fd00:1::/64', true],
  ['[fd00:2::7]', 'fd00:1::/64', false],
  ['10.example.com', '10.0.0.0/8', false],
  ['10.1.2.3', '10.0.0.0/99', false],
  ['10.1.2.3', '10.1.2.3/x,/8,a/b/c', false],
  ['10.1.2.3', '10.1.2.3', true],
  ['10.1.2.3', '10.1.2.3:80', true],
  ['10.1.2.3:9000', '10.1.2.3:80', false],
  ['10.1.2.3:9000', '10.1.2.3:9000', true],
  ['[::1]', '[::1]', true],
  ['[::1]:9000', '[::1]:9000', true],
  ['[::1]:9000', '[::1]:80', false],
  ['[fd00::10]', 'fd00:0:0:0:0:0:0:10', true],
  ['[fd00::10]', '[fd00::]/8', true],
  ['[fd00::10]', '[fd00::10', false],
])('%s beside %s: direct %s', (hostname, noProxy, isDirect) => {
  const proxies = { httpProxy: 'http://proxy:1', httpsProxy: undefined, noProxy };
  expect(proxiesFor(new URL(`http://${hostname}`), proxies).httpProxy).toBe(
    isDirect ? undefined : 'http://proxy:1',
  );
});

/** An address over TLS where nobody listens. */
async function nobodyAt(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return `https://127.0.0.1:${port}`;
}

/** Asks for rows of a server by https or hf, then by s3; what it says of each. */
async function asking(server: string, proxies: Proxies): Promise<string[]> {
  const web = new HttpClient(undefined, { source: 'nobody' }, [], proxies);
  const { signal } = new AbortController();
  const values = {
    AWS_ACCESS_KEY_ID: 'a',
    AWS_SECRET_ACCESS_KEY: 'b',
    AWS_ENDPOINT_URL: server,
    AWS_REGION: 'x',
  };
  const s3 = new S3Store({ values, source: 'nobody' }, proxies);
  const told = (error: Error) => error.message;
  return [
    await web.request(new URL(`${server}/rows`), 'rows', { signal }).then(() => 'answered', told),
    await s3.readText('bucket/rows', signal).then(() => 'answered', told),
  ];
}

test.each([
  ['127.0.0.0/8', 'server'],
  ['.svc 127.0.0.0/8', 'server'],
  ['.svc,10.0.0.0/8', 'proxy'],
])('of a server by its address, NO_PROXY %s: https, hf and s3 alike ask the %s', async (NO_PROXY, right) => {
  const asked: string[] = [];
  const server = await answering('server', asked);
  const proxies = proxiesOf({ HTTP_PROXY: await answering('proxy', asked), NO_PROXY });
  await asking(server, proxies);
  expect(asked).toEqual([right, right]);
});

test.each([
  ['corp.invalid', 'server'],
  ['.corp.invalid', 'server'],
  ['*.corp.invalid', 'server'],
  ['s3.corp.invalid:80', 'server'],
  ['CORP.invalid', 'server'],
  ['corp.invalid.', 'server'],
  ['s3.corp.invalid:81', 'proxy'],
  ['orp.invalid', 'proxy'],
  ['s3.corp.invalid.example', 'proxy'],
])('of s3.corp.invalid, NO_PROXY %s: https, hf and s3 alike ask the %s', async (NO_PROXY, right) => {
  const asked: string[] = [];
  const proxies = proxiesOf({ HTTP_PROXY: await answering('proxy', asked), NO_PROXY });
  const told = await asking('http://s3.corp.invalid', proxies);
  expect(asked).toEqual(right === 'proxy' ? ['proxy', 'proxy'] : []);
  for (const message of told) expect(/ENOTFOUND|EAI_AGAIN/.test(message)).toBe(right === 'server');
});

test('HTTP_PROXY alone is for http:// alone: over TLS https, hf and s3 alike ask directly', async () => {
  const asked: string[] = [];
  const proxies = proxiesOf({ HTTP_PROXY: await answering('proxy', asked) });
  const told = await asking(await nobodyAt(), proxies);
  for (const message of told) expect(message).toMatch(/\(ECONNREFUSED\)$/);
  expect(asked).toEqual([]);
});

test.each(['http://user:50%@proxy:1', 'http://100%25%zz@proxy:1', 'socks5://proxy:1', 'proxy:1'])(
  'HTTPS_PROXY that can be no address of a proxy is refused by its name, and not quoted: %s',
  (HTTPS_PROXY) => {
    const refused = () => proxiesOf({ HTTPS_PROXY });
    expect(refused).toThrow(/^the environment's HTTPS_PROXY must be a proxy's URL/);
    expect(refused).not.toThrow(HTTPS_PROXY);
  },
);
