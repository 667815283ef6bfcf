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
import { answerLimits } from '../../../../src/artifact/stores/s3-answers.ts';
import { type StoredObject, StoreError } from '../../../../src/artifact/stores/store.ts';
import { costOf, HostileServer, millionsOf, objectOf } from '../../../support/hostile/index.ts';

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

  test.each(['0', '{}'])('%s as a manifest of a hub make no artifact of its repository', async (thing) => {
    const tree = Buffer.from(
      JSON.stringify([{ type: 'file', path: 'manifest.json', size: 9, oid: 'c0ffee'.padEnd(40, '0') }]),
    );
    const manifest = millionsOf(thing, '{"kind":"Emulator","files":[', ']}');
    const client = answering(({ pathname }) => {
      if (pathname.includes('/revision/')) return revision;
      return pathname.includes('/tree/') ? tree : manifest;
    });
    const hub = new HubStore(client, 'https://hub.example.com');
    const { seconds, mebibytes } = await costOf(async () =>
      expect((await hub.list('team/words', never)).map(({ path }) => path)).toEqual(['manifest.json']),
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

describe('what an S3 server answers', () => {
  let server: HostileServer;
  beforeEach(async () => {
    server = await HostileServer.start();
  });
  afterEach(() => server.close());

  const store = (textWithin = 30_000, answers = answerLimits) =>
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
      { textWithin, answers },
    );

  test('as a lock without end, which says no length, is read as far as a lock goes', async () => {
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

  test('of an object has one version, also where its lists leave out the quotes of an ETag', async () => {
    server.answer = ({ method }, response) => {
      response.setHeader('etag', '"a-1"');
      const entry = '<Contents><Key>out/weights</Key><ETag>a-1</ETag><Size>4</Size></Contents>';
      const page = `<ListBucketResult><IsTruncated>false</IsTruncated>${entry}</ListBucketResult>`;
      response.end(method === 'GET' ? page : '');
    };
    const version = '"a-1"';
    const outgoing = {
      body: Readable.from(['mine']),
      sizeBytes: 4,
      sha256: 'a'.repeat(64),
      writer: 'a test',
    };
    expect(await store().write('team/out/weights', outgoing, never)).toBe(version);
    expect(await store().written('team/out/weights', never)).toMatchObject({ version });
    expect(await store().list('team/out', never)).toEqual([{ path: 'weights', sizeBytes: 4, version }]);
  });

  test('as a list that says it is cut off, and not how to go on, is no whole one', async () => {
    // A server that knows ListObjects of version 1 alone.
    server.answer = (_, response) =>
      void response.end(
        `<ListBucketResult><IsTruncated>true</IsTruncated>${objectOf('rows/part-0.jsonl', 4)}</ListBucketResult>`,
      );
    await expect(store().list('team/rows', never)).rejects.toMatchObject({
      reason: 'StoreUnavailable',
      message:
        's3://team/rows/: its server does not answer as it should (a list that is cut off, ListObjectsV2)',
    });
  });

  test('as a list with an empty token for what comes behind it is whole', async () => {
    let asked = 0;
    server.answer = (_, response) => {
      asked += 1;
      const said = '<IsTruncated>false</IsTruncated><NextContinuationToken/>';
      response.end(`<ListBucketResult>${said}${objectOf('rows/part-0.jsonl', 4)}</ListBucketResult>`);
    };
    expect(await store().list('team/rows', never)).toHaveLength(1);
    expect(asked).toBe(1);
  });

  test.each([
    ['no ETag', undefined],
    ['an empty ETag', '""'],
  ])('of an object with %s is asked for without a version, and from its start', async (_, tag) => {
    const asked: unknown[] = [];
    server.answer = ({ method, headers }, response, url) => {
      if (url.searchParams.has('list-type'))
        return void response.end('<ListBucketResult></ListBucketResult>');
      if (headers['range'] !== undefined || headers['if-match'] !== undefined) asked.push(headers);
      if (tag !== undefined) response.setHeader('etag', tag);
      response.setHeader('content-length', 4);
      response.end(method === 'HEAD' ? '' : 'mine');
    };
    const [{ version }] = (await store().list('team/rows.jsonl', never)) as [StoredObject, ...StoredObject[]];
    const { body } = await store().read('team/rows.jsonl', { from: 0, version, signal: never });
    expect(Buffer.concat(await body.toArray()).toString()).toBe('mine');
    await expect(store().read('team/rows.jsonl', { from: 2, version, signal: never })).rejects.toMatchObject({
      reason: 'Changed',
    });
    expect(asked).toEqual([]);
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

  test('to a write or a removal byte by byte is given up in time, blanks of one that is at work included', async () => {
    server.answer = (_, response) => trickle(response.writeHead(200, { etag: '"v"' }));
    const slow = store(30_000, { ...answerLimits, milliseconds: 100 });
    const outgoing = {
      body: Readable.from(['mine']),
      sizeBytes: 4,
      sha256: 'a'.repeat(64),
      writer: 'a test',
    };
    const expected = {
      reason: 'StoreUnavailable',
      message: expect.stringMatching(/^s3:\/\/team\/out: its server /),
    };
    await expect(slow.write('team/out', outgoing, never)).rejects.toMatchObject(expected);
    await expect(slow.remove(['team/out'], never)).rejects.toMatchObject(expected);
  });

  test('whose headers come letter by letter is given up in time, whatever is asked or sent', async () => {
    server.answer = (_, response) => {
      const { socket } = response;
      socket?.write('HTTP/1.1 200 OK\r\nx-letters: ');
      const timer = setInterval(() => socket?.write('a'), 5);
      socket?.on('close', () => clearInterval(timer));
    };
    const slow = store(30_000, { ...answerLimits, headers: 20, milliseconds: 20 });
    const expected = {
      reason: 'StoreUnavailable',
      message: expect.stringMatching(/^s3:\/\/team\/out: its server does not answer as it should/),
    };
    const reading = slow.read('team/out', { from: 4, version: '"v"', signal: never });
    const outgoing = {
      body: Readable.from(['mine']),
      sizeBytes: 4,
      sha256: 'a'.repeat(64),
      writer: 'a test',
    };
    await Promise.all([
      expect(reading).rejects.toMatchObject(expected),
      expect(slow.write('team/out', outgoing, never)).rejects.toMatchObject(expected),
      expect(slow.remove(['team/out'], never)).rejects.toMatchObject(expected),
    ]);
    const stop = new AbortController();
    const patient = store().read('team/out', { from: 4, version: '"v"', signal: stop.signal });
    setTimeout(() => stop.abort(), 20);
    await expect(patient).rejects.toMatchObject({ name: 'AbortError' });
  });

  test.each([
    ['attributes', () => `<a>${'<b c="d"/>'.repeat(80_000)}</a>`],
    ['one text', () => `<a><Key>${'1'.repeat(65_537)}</Key></a>`],
    ['one tag', () => `<${'a'.repeat(65_537)}/>`],
  ])('in a list of %s without end costs neither time nor memory', async (_, page) => {
    server.answer = (_, response) =>
      response.writeHead(200, { 'content-type': 'application/xml' }).end(page());
    await expect(store().list('team/words', never)).rejects.toMatchObject({ reason: 'StoreUnavailable' });
  });

  test('in a list of millions of entries or entities costs neither time nor memory', async () => {
    for (const page of [`<a>${'<b/>'.repeat(4e6)}</a>`, `<a>${'&amp;'.repeat(3e6)}</a>`]) {
      server.answer = (_, response) =>
        response.writeHead(200, { 'content-type': 'application/xml' }).end(page);
      const { seconds, mebibytes } = await costOf(() =>
        expect(store().list('team/words', never)).rejects.toMatchObject({ reason: 'StoreUnavailable' }),
      );
      expect(seconds).toBeLessThan(2);
      expect(mebibytes).toBeLessThan(256);
    }
  });

  test.each([
    [400, 'FwoGZXIvYXdzEXAMPLETOKEN', 'its server does not answer as it should (status 400)'],
    [403, 'AKIAEXAMPLE', 'the credentials of Secret partner do not allow this (status 403)'],
    [403, 'AccessDenied', 'the credentials of Secret partner do not allow this (AccessDenied)'],
    [400, 'EntityTooLarge', 'its server does not answer as it should (EntityTooLarge)'],
  ])(
    'as its error, %i with the code %s, is told only where it is a word of S3',
    async (status, code, told) => {
      server.answer = (_, response) =>
        response.writeHead(status).end(`<Error><Code>${code}</Code><Message>secret</Message></Error>`);
      await expect(store().readText('team/lock')).rejects.toThrow(`s3://team/lock: ${told}`);
    },
  );

  test('to a removal names an object that was asked for, and no word of its own', async () => {
    server.answer = (_, response) =>
      response.end('<DeleteResult><Error><Key>secret</Key><Code>secret</Code></Error></DeleteResult>');
    await expect(store().remove(['team/out'], never)).rejects.toThrow(
      's3://team/out: could not be removed (status 200)',
    );
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
      unwritable: () => new Error('cannot be written'),
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
