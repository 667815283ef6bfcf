// Stores that mean harm, spoken to by the real clients: every store by every name that is none, and answers without end.
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { isPrintable, printable } from '../../src/api/index.ts';
import { Mirror, resolveUri } from '../../src/artifact/index.ts';
import { Authority } from '../support/cluster/certificates.ts';
import {
  type Answer,
  artifactOf,
  badNames,
  badPairs,
  bucketOf,
  HostileServer,
  json,
  type Offered,
  objectOf,
  repositoryOf,
  xml,
} from '../support/hostile/index.ts';
import { digestIn, failureOf, offsite } from '../support/offsite/index.ts';
import { setField, tinyManifests, writeManifests, writeTinyProject } from '../support/tiny/index.ts';

const root = mkdtempSync(join(tmpdir(), 'offsite-hostile-'));
const trusted = getCACertificates('default');
let plain: HostileServer;
let web: HostileServer;
let directory: string;

beforeAll(async () => {
  mkdirSync(join(root, 'pki'));
  const authority = new Authority(join(root, 'pki'));
  const { cert, key } = authority.issue('web', 'web', [], ['127.0.0.1']);
  setDefaultCACertificates([...trusted, readFileSync(authority.own.cert, 'utf8')]);
  plain = await HostileServer.start();
  web = await HostileServer.start({ cert: readFileSync(cert), key: readFileSync(key) });
});
afterAll(async () => {
  await plain.close();
  await web.close();
  setDefaultCACertificates(trusted);
  rmSync(root, { recursive: true, force: true });
});
beforeEach(() => {
  directory = mkdtempSync(join(root, 'reader-'));
  mkdirSync(join(directory, 'deep/down'), { recursive: true });
  writeFileSync(join(directory, 'out'), 'own');
  writeFileSync(join(directory, 'deep/out'), 'own');
});
afterEach(() => {
  plain.asked = [];
  web.asked = [];
});

const environment = () => ({
  AWS_ACCESS_KEY_ID: 'AKIATESTTESTTEST',
  AWS_SECRET_ACCESS_KEY: 'never-to-be-shown',
  AWS_ENDPOINT_URL: `http://127.0.0.1:${plain.port}`,
  AWS_REGION: 'us-east-1',
  HF_ENDPOINT: `http://127.0.0.1:${plain.port}`,
});

/** Brings a place to this machine as a stage does. */
function bring(uri: string): Promise<boolean> {
  const scratch = join(directory, 'deep/down/scratch');
  const mirror = new Mirror({
    scratch,
    environment: environment(),
    signal: new AbortController().signal,
  });
  return mirror.pull(resolveUri(uri, { claims: {}, base: '/', scratch }, 'spec.emulator'), { exact: true });
}

const stores: readonly { store: string; uri: () => string; offer: (offered: Offered) => void }[] = [
  {
    store: 's3',
    uri: () => 's3://bucket/bundle',
    offer(offered) {
      plain.answer = bucketOf(offered, 'bundle/');
    },
  },
  {
    store: 'hf',
    uri: () => 'hf://team/words/bundle',
    offer(offered) {
      plain.answer = repositoryOf(offered);
    },
  },
  {
    store: 'https',
    uri: () => `https://127.0.0.1:${web.port}/bundle`,
    offer(offered) {
      web.answer = artifactOf(offered);
    },
  },
];

/** What lies below the reader's directory, by path. */
const lying = () =>
  readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1))
    .sort();

const bytes = Buffer.from('a key that opens everything');
const reasonOf = async (uri: string): Promise<{ reason: string; message: string }> =>
  await bring(uri).then(
    () => ({ reason: 'none', message: 'was taken' }),
    (error: { reason: string; message: string }) => error,
  );

describe.each(stores)('names from $store', ({ store, uri, offer }) => {
  test('that are good are taken', async () => {
    const names = ['config.json', 'deep/weights', 'Grüße 🙂', 'a&b <c>'];
    offer({ names, bytes });
    // Only the web's manifest and the hub say a digest, which these bytes have not.
    const reason = { s3: 'none', hf: 'StoreUnavailable', https: 'StoreUnavailable' }[store];
    expect((await reasonOf(uri())).reason).toBe(reason);
  });

  // What ends with "/" stands for a directory in S3, and its lists are UTF-8, which has no halves of characters.
  const names = badNames.filter(({ name }) => store !== 's3' || (name !== '' && name.isWellFormed()));

  test.each(names)('$name is refused, and nothing is written', async ({ name, problem }) => {
    offer({ names: ['config.json', name], bytes });
    const { reason, message } = await reasonOf(uri());
    expect(isPrintable(message)).toBe(true);
    expect(message.length).toBeLessThan(2000);
    expect(lying()).toEqual(['deep/out', 'out']);
    expect([reason, message]).toEqual([
      'BadModel',
      expect.stringContaining(`"${printable(name)}" ${problem}`),
    ]);
    expect(existsSync('/tmp/offsite-was-here')).toBe(false);
    expect(existsSync('/etc/offsite-was-here')).toBe(false);
  });

  test.each(badPairs)('$names are refused', async ({ names, problem }) => {
    offer({ names, bytes });
    expect(await reasonOf(uri())).toMatchObject({
      reason: 'BadModel',
      message: expect.stringContaining(problem),
    });
    expect(lying()).toEqual(['deep/out', 'out']);
  });

  test('more than there are files in any bundle are refused', async () => {
    offer({ names: Array.from({ length: 10_001 }, (_, i) => `${i}.json`), bytes });
    expect(await reasonOf(uri())).toMatchObject({
      reason: 'BadModel',
      message: expect.stringContaining('has more than 10000 files'),
    });
  });

  test('a body longer than was said is not read on', async () => {
    offer({ names: ['weights'], bytes });
    const server = store === 'https' ? web : plain;
    const { answer } = server;
    let sent = 0;
    server.answer = (request, response, url) => {
      if (request.method !== 'GET' || !url.pathname.endsWith('weights'))
        return answer(request, response, url);
      const more = () => {
        while (!response.destroyed && response.write(Buffer.alloc(65_536))) sent += 65_536;
      };
      response.writeHead(200, { etag: '"v"' }).on('drain', more);
      more();
    };
    const { reason, message } = await reasonOf(uri());
    expect(reason).toBe('Changed');
    expect(message).toMatch(/weights: its server sends more than the 27 bytes that it said/);
    expect(sent).toBeLessThan(64 * 2 ** 20);
  });
});

describe('lists without end', () => {
  const endless: [string, () => string, RegExp, Answer][] = [
    [
      'S3, empty pages',
      () => 's3://bucket/bundle',
      /s3:\/\/bucket\/bundle\/: its server's list has more than 200 pages/,
      (_, response) =>
        xml(response, '<IsTruncated>true</IsTruncated><NextContinuationToken>on</NextContinuationToken>'),
    ],
    [
      'S3, full pages',
      () => 's3://bucket/bundle',
      /has more than 10000 files/,
      (_, response) =>
        xml(
          response,
          `<NextContinuationToken>on</NextContinuationToken>${Array.from({ length: 1000 }, (__, i) => objectOf(`bundle/${i}`, 1)).join('')}`,
        ),
    ],
    [
      'S3, one page of 20 MiB',
      () => 's3://bucket/bundle',
      /its server does not answer as it should/,
      (_, response) => xml(response, objectOf(`bundle/${'x'.repeat(20 * 2 ** 20)}`, 1)),
    ],
    [
      'S3, objects of another place',
      () => 's3://bucket/bundle',
      /its server does not answer as it should \(ListObjectsV2\)/,
      (_, response) => xml(response, objectOf('other/weights', 1)),
    ],
    [
      'S3, a version that is a header of its own',
      () => 's3://bucket/bundle',
      /its server does not answer as it should \(ETag\)/,
      (_, response) => xml(response, objectOf('bundle/weights', 1, 'v&#13;&#10;x: y')),
    ],
    [
      'hub, pages',
      () => 'hf://team/words/bundle',
      /its server's file list has more than 200 pages/,
      (request, response, url) =>
        url.pathname.includes('/revision/')
          ? json(response, { sha: 'c0ffee0000000000000000000000000000000000' })
          : json(response, [], { link: `<http://${request.headers.host}${request.url}>; rel="next"` }),
    ],
    [
      'hub, a commit that is a path',
      () => 'hf://team/words/bundle',
      /its server does not answer as a hub does/,
      (_, response) => json(response, { sha: '../../../other/team/secret' }),
    ],
    [
      'hub, one page of 20 MiB',
      () => 'hf://team/words/bundle',
      /its server does not answer as a hub does/,
      (_, response) => json(response, { sha: 'c'.repeat(20 * 2 ** 20) }),
    ],
    [
      'hub, compressed',
      () => 'hf://team/words/bundle',
      /its server sends it compressed \(Content-Encoding\)/,
      (_, response) =>
        void response
          .writeHead(200, { 'content-encoding': 'gzip' })
          .end(gzipSync(Buffer.alloc(64 * 2 ** 20, '['))),
    ],
    [
      'web, a manifest of 20 MiB',
      () => `https://127.0.0.1:${web.port}/bundle`,
      /manifest.json: is longer than 16 MiB; no artifact's is/,
      (_, response, url) =>
        url.pathname.endsWith('/manifest.json')
          ? void response.writeHead(200).end(Buffer.alloc(20 * 2 ** 20, ' '))
          : void response.writeHead(404).end(),
    ],
    [
      'web, compressed',
      () => `https://127.0.0.1:${web.port}/bundle`,
      /its server sends it compressed \(Content-Encoding\)/,
      (_, response) => void response.writeHead(200, { 'content-encoding': 'br' }).end(Buffer.alloc(1000)),
    ],
    [
      'web, redirects',
      () => `https://127.0.0.1:${web.port}/bundle`,
      /is redirected again and again/,
      (_, response) => void response.writeHead(302, { location: '/bundle/manifest.json' }).end(),
    ],
    [
      'web, a redirect to no address',
      () => `https://127.0.0.1:${web.port}/bundle`,
      /is redirected to no address/,
      (_, response) => void response.writeHead(302, { location: 'https://[' }).end(),
    ],
  ];

  test.each(endless)('%s', async (_, uri, told, answer) => {
    plain.answer = answer;
    web.answer = answer;
    const { reason, message } = await reasonOf(uri());
    expect(message).toMatch(told);
    expect(['BadModel', 'StoreUnavailable']).toContain(reason);
    expect(plain.asked.length + web.asked.length).toBeLessThan(210);
    expect(lying()).toEqual(['deep/out', 'out']);
  });

  test('a Retry-After of a day is not waited for', async () => {
    plain.answer = (_, response) => void response.writeHead(503, { 'retry-after': '86400' }).end();
    expect((await reasonOf('hf://team/words/bundle')).reason).toBe('StoreUnavailable');
  });
});

test("an object beside a good bundle does not become the reader's file: the run fails and says its name", async () => {
  const project = join(directory, 'project');
  const { build } = writeTinyProject(project);
  writeManifests(join(project, 'build.yaml'), [build]);
  const work = join(project, 'work');
  const made = await offsite(['run', '-f', join(project, 'build.yaml'), '--work-dir', work]);
  expect(made.code, made.stderr).toBe(0);

  const bundle = join(project, 'out/emulator');
  cpSync(bundle, join(project, 'shown'), { recursive: true });
  const shown = readdirSync(bundle).map((name) => ({ name, content: readFileSync(join(bundle, name)) }));
  const victim = join(project, 'key');
  writeFileSync(victim, 'own');
  const up = `${'../'.repeat(40)}${victim.slice(1)}`;
  const offered = [...shown, { name: up, content: Buffer.from('theirs') }];
  plain.answer = (request, response, url) => {
    if (url.searchParams.has('list-type'))
      return url.searchParams.get('prefix') === 'words-emulator/'
        ? xml(
            response,
            offered.map(({ name, content }) => objectOf(`words-emulator/${name}`, content.length)).join(''),
          )
        : xml(response, '');
    const found = shown.find(({ name }) => url.pathname.endsWith(`/words-emulator/${name}`));
    if (found === undefined) return void response.writeHead(404).end();
    response.writeHead(200, { etag: '"v"', 'content-length': found.content.length });
    response.end(request.method === 'HEAD' ? undefined : found.content);
  };
  const { tune } = tinyManifests();
  setField(tune, 'spec.emulator', { uri: 's3://bucket/words-emulator', digest: digestIn(bundle) });
  writeManifests(join(project, 'tune.yaml'), [tune]);
  const ran = await offsite(['run', '-f', join(project, 'tune.yaml'), '--work-dir', work], {
    environment: environment(),
  });
  expect(ran.code).toBe(1);
  expect(failureOf(work, 'OffsiteTune')).toMatchObject({
    reason: 'BadModel',
    message: expect.stringContaining(
      `s3://bucket/words-emulator: the name "${up}" has a part ".." and leaves its directory`,
    ),
  });
  expect(readFileSync(victim, 'utf8')).toBe('own');
});
