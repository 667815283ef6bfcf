import type { ServerResponse } from 'node:http';
import { pipeline, Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { Response } from 'undici';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { takeLock } from '../../../../src/artifact/lock/lock.ts';
import { StoreLock } from '../../../../src/artifact/mirror/lock-in-store.ts';
import { HubStore } from '../../../../src/artifact/stores/hf.ts';
import type { HttpClient } from '../../../../src/artifact/stores/http.ts';
import { HttpsStore } from '../../../../src/artifact/stores/https.ts';
import { S3Store } from '../../../../src/artifact/stores/s3.ts';
import { StoreError } from '../../../../src/artifact/stores/store.ts';
import { costOf, HostileServer, millionsOf } from '../../../support/hostile/index.ts';

const never = new AbortController().signal;

/** A client whose every answer is these bytes; what is only looked at is not there. */
const answering = (bytes: (url: URL) => Uint8Array) =>
  ({
    check: () => {},
    request: async (url: URL, name: string, { method = 'GET' }) => {
      if (method === 'HEAD') throw new StoreError('Missing', `${name}: there is no such file`);
      return new Response(bytes(url));
    },
  }) as unknown as HttpClient;

describe('10 MB of values', () => {
  const revision = Buffer.from(JSON.stringify({ sha: 'c0ffee'.padEnd(40, '0') }));

  test.each(['0', '{}', '[]', '""'])('%s as a page of a hub are no page', async (thing) => {
    const page = millionsOf(thing);
    const client = answering(({ pathname }) => (pathname.includes('/revision/') ? revision : page));
    const hub = new HubStore(client, 'https://hub.example.com');
    const { seconds, mebibytes } = await costOf(() =>
      expect(hub.list('team/words', never)).rejects.toMatchObject({
        reason: 'StoreUnavailable',
        message: 'hf://team/words: its server does not answer as a hub does',
      }),
    );
    expect(seconds).toBeLessThan(1);
    expect(mebibytes).toBeLessThan(128);
  });

  test.each(['0', '{}'])('%s as a manifest of the web are refused', async (thing) => {
    const manifest = millionsOf(thing, '{"files":[', ']}');
    const web = new HttpsStore(answering(() => manifest));
    const { seconds, mebibytes } = await costOf(() =>
      expect(web.list('host/bundle', never)).rejects.toMatchObject({
        reason: 'BadModel',
        message: 'https://host/bundle/manifest.json: holds more than 131072 values',
      }),
    );
    expect(seconds).toBeLessThan(1);
    expect(mebibytes).toBeLessThan(128);
  });
});

describe('a lock in an S3 bucket that is', () => {
  let server: HostileServer;
  beforeEach(async () => {
    server = await HostileServer.start();
  });
  afterEach(() => server.close());

  const store = (textWithin = 30_000) =>
    new S3Store(
      {
        values: {
          AWS_ACCESS_KEY_ID: 'key',
          AWS_SECRET_ACCESS_KEY: 'secret',
          AWS_ENDPOINT_URL: `http://127.0.0.1:${server.port}`,
        },
        source: 'Secret partner',
      },
      { httpProxy: undefined, httpsProxy: undefined, noProxy: undefined },
      { textWithin },
    );

  test('without end, and says no length, is read as far as a lock goes', async () => {
    let sent = 0;
    const endless = (function* () {
      for (; sent < 2 ** 28; sent += 2 ** 16) yield Buffer.alloc(2 ** 16, ' ');
    })();
    server.answer = (_, response) =>
      void pipeline(Readable.from(endless), response.writeHead(200, { etag: '"v"' }), () => {});
    expect(await store().readText('team/.out.offsite-lock')).toEqual({ text: '', version: '"v"' });
    // What the two machines' buffers take.
    expect(sent).toBeLessThan(2 ** 26);
  });

  const trickle = (response: ServerResponse) => {
    const timer = setInterval(() => response.write(' '), 5);
    response.on('close', () => clearInterval(timer));
  };

  test.each([
    ['an object', 200],
    ['an error', 500],
  ])('%s that comes byte by byte is given up in time', async (_, status) => {
    server.answer = (_, response) => trickle(response.writeHead(status, { etag: '"v"' }));
    const expected = {
      reason: 'StoreUnavailable',
      message: 's3://team/lock: its server takes longer than 0.1 s',
    };
    await expect(store(100).readText('team/lock')).rejects.toMatchObject(expected);
    await expect(store(100).writeText('team/lock', 'mine', 'absent')).rejects.toMatchObject(expected);
  });

  test('an object that comes byte by byte ends with the run that asks for it', async () => {
    const stop = new AbortController();
    let closed = false;
    server.answer = (_, response) => {
      response.on('close', () => {
        closed = true;
      });
      trickle(response.writeHead(200, { etag: '"v"' }));
    };
    const taken = takeLock(new StoreLock(store(), 'team/out'), {
      owner: 'PlugIn data/words',
      waitsFor: () => true,
      refusal: () => new Error('is at work there'),
      signal: stop.signal,
    });
    const refused = expect(taken).rejects.toMatchObject({ name: 'AbortError' });
    await expect.poll(() => server.asked.length).toBe(1);
    await sleep(20);
    stop.abort();
    await refused;
    await expect.poll(() => closed).toBe(true);
  });
});
