// Whom NO_PROXY names, of the clients of all stores alike.
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { HttpClient } from '../../../../src/artifact/stores/http.ts';
import { proxiesFor, proxiesOf } from '../../../../src/artifact/stores/proxies.ts';
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
])('%s beside %s: direct %s', (hostname, noProxy, isDirect) => {
  const proxies = { httpProxy: 'http://proxy:1', httpsProxy: undefined, noProxy };
  expect(proxiesFor(hostname, proxies).httpProxy).toBe(isDirect ? undefined : 'http://proxy:1');
});

test.each([
  ['127.0.0.0/8', 'server'],
  ['.svc 127.0.0.0/8', 'server'],
  ['.svc,10.0.0.0/8', 'proxy'],
])('of a server by its address, NO_PROXY %s: https, hf and s3 alike ask the %s', async (NO_PROXY, right) => {
  const asked: string[] = [];
  const server = await answering('server', asked);
  const proxies = proxiesOf({ HTTP_PROXY: await answering('proxy', asked), NO_PROXY });
  const web = new HttpClient(undefined, { source: 'nobody' }, [], proxies);
  const { signal } = new AbortController();
  await expect(web.request(new URL(`${server}/rows`), 'rows', { signal })).rejects.toThrow(
    'there is no such file',
  );
  const values = {
    AWS_ACCESS_KEY_ID: 'a',
    AWS_SECRET_ACCESS_KEY: 'b',
    AWS_ENDPOINT_URL: server,
    AWS_REGION: 'x',
  };
  const s3 = new S3Store({ values, source: 'nobody' }, proxies);
  await s3.readText('bucket/rows', signal).catch(() => {});
  expect(asked).toEqual([right, right]);
});
