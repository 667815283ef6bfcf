import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Mirror, TakenOver } from '../../../../src/artifact/index.ts';

let [directory, output]: string[] = [];
let server: Server;
let lost: AbortController;
let uploads: number;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'offsite-mirror-'));
  output = join(directory, 's3/_/bucket/out');
  mkdirSync(output, { recursive: true });
  writeFileSync(join(output, 'a.bin'), 'mine');
  writeFileSync(join(output, 'manifest.json'), 'mine');
  lost = new AbortController();
  uploads = 0;
  // Has nothing, and never answers an upload: another run comes meanwhile.
  server = createServer(({ method }, answer) => {
    if (method !== 'PUT') return answer.end('<ListBucketResult></ListBucketResult>');
    uploads++;
    lost.abort(new TakenOver('OffsiteTune default/other'));
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((closed) => server.close(closed));
  rmSync(directory!, { recursive: true });
});

const mirror = () =>
  new Mirror({
    scratch: directory,
    signal: new AbortController().signal,
    environment: {
      AWS_ACCESS_KEY_ID: 'id',
      AWS_SECRET_ACCESS_KEY: 'key',
      AWS_ENDPOINT_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    },
    lost: () => lost.signal,
  });

it('an upload under way is broken off when another run has the place', async () => {
  await expect(mirror().push(output!, { exact: true })).rejects.toThrow(TakenOver);
  expect(uploads).toBe(1);
});

it('the same in the background, where it is not tried again', async () => {
  const stores = mirror();
  const failures: unknown[] = [];
  stores.pushLater(output!, { exact: true }, (error) => failures.push(error));
  await stores.settled();
  expect(failures).toEqual([lost.signal.reason]);
  expect(uploads).toBe(1);
});

it('a file is read in the version that was seen alone, and its copy stays', async () => {
  let [version, below] = ['seen', ''];
  server.removeAllListeners('request');
  server.on('request', ({ method, url }, answer) => {
    if (url?.includes('list-type')) return answer.end(`<ListBucketResult>${below}</ListBucketResult>`);
    answer.writeHead(200, { etag: `"${version}"`, 'content-length': 6 });
    answer.end(method === 'HEAD' ? '' : 'theirs');
  });
  const manifest = join(output!, 'manifest.json');
  const [[, seen]] = [...(await mirror().look(manifest))] as [[string, string]];
  expect(Buffer.from(await mirror().read(manifest, seen)).toString()).toBe('theirs');
  version = 'another';
  await expect(mirror().read(manifest, seen)).rejects.toMatchObject({ reason: 'Changed' });
  expect(readFileSync(manifest, 'utf8')).toBe('mine');
  expect(readdirSync(directory!)).toEqual(['s3']);
  below = '<Contents><Key>out/manifest.json/x</Key><Size>6</Size><ETag>"x"</ETag></Contents>';
  await expect(mirror().read(manifest, seen)).rejects.toMatchObject({ reason: 'BadModel' });
  // Nothing was brought so far, so there is no scratch directory.
  [version, below] = ['seen', ''];
  rmSync(directory!, { recursive: true });
  expect(Buffer.from(await mirror().read(manifest, seen)).toString()).toBe('theirs');
});

it.each([
  ['no version', undefined, 2],
  ['an empty version', '""', 2],
  ['a version', '"v"', 1],
])('an object of which its store tells %s: as often as it may be another', async (_, tag, fetched) => {
  let [text, gets] = ['mine', 0];
  server.removeAllListeners('request');
  server.on('request', ({ method, url }, answer) => {
    if (url?.includes('list-type')) return answer.end('<ListBucketResult></ListBucketResult>');
    answer.writeHead(200, { ...(tag && { etag: tag }), 'content-length': text.length });
    if (method === 'GET') gets++;
    answer.end(method === 'HEAD' ? '' : text);
  });
  const rows = join(directory!, 's3/_/bucket/rows.jsonl');
  await mirror().pull(rows, { exact: true });
  expect(readFileSync(rows, 'utf8')).toBe('mine');
  // As long as before.
  text = 'ours';
  await mirror().pull(rows, { exact: true });
  expect(gets).toBe(fetched);
  expect(readFileSync(rows, 'utf8')).toBe(fetched === 1 ? 'mine' : 'ours');
});
