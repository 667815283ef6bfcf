import { randomBytes } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Mirror, openArtifact, resolveUri, sealArtifact } from '../../src/artifact/index.ts';
import { CuttingProxy } from '../support/servers/proxy.ts';
import { S3Server } from '../support/servers/s3-server.ts';

const mebibyte = 2 ** 20;
const exact = { exact: true };
let server: S3Server;
let directory: string;
const cleanUp: (() => unknown)[] = [];

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'offsite-stores-'));
  server = await S3Server.start('models');
});
afterEach(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step();
  await server.remove();
  rmSync(directory, { recursive: true, force: true });
});

async function proxied(): Promise<CuttingProxy> {
  const proxy = await CuttingProxy.to(server.port);
  cleanUp.push(() => proxy.close());
  return proxy;
}

/** A machine of its own: its scratch directory, and what its environment says. */
function machine(name: string, environment: NodeJS.ProcessEnv = {}, signal = new AbortController().signal) {
  const scratch = join(directory, name);
  const mirror = new Mirror({
    scratch,
    environment: { ...server.credentials, ...environment },
    signal,
  });
  return {
    mirror,
    path: (uri: string) => resolveUri(uri, { claims: {}, base: '/', scratch }, 'spec.output.uri'),
  };
}

/** An artifact with a file of several parts and one in a folder. */
function writeArtifact(path: string, sizeBytes = 20 * mebibyte): string {
  mkdirSync(join(path, 'deep'), { recursive: true });
  writeFileSync(join(path, 'model.safetensors'), randomBytes(sizeBytes));
  writeFileSync(join(path, 'deep/config.json'), '{}');
  writeFileSync(join(path, 'empty'), '');
  return sealArtifact(path, { kind: 'Model', madeFrom: {}, hyperparameters: {} }).digest;
}

const uri = 's3://models/team/words';

test('an artifact goes up in parts and comes down the same; what is there is not sent again', async () => {
  const proxy = await proxied();
  const here = machine('here', { AWS_ENDPOINT_URL: proxy.endpoint });
  const digest = writeArtifact(here.path(uri));
  await here.mirror.push(here.path(uri), exact);
  expect(statSync(server.fileOf('models', 'team/words/model.safetensors')).size).toBe(20 * mebibyte);
  const sent = proxy.sent;
  await here.mirror.push(here.path(uri), exact);
  expect(proxy.sent - sent).toBeLessThan(10_000);

  const there = machine('there', { AWS_ENDPOINT_URL: proxy.endpoint });
  const seen: [number, number][] = [];
  const progress = (done: number, total: number) => seen.push([done, total]);
  expect(await there.mirror.pull(there.path(uri), { exact: true, progress })).toBe(true);
  expect(openArtifact(there.path(uri)).digest).toBe(digest);
  expect(seen.at(-1)?.[0]).toBe(seen.at(-1)?.[1]);
  const received = proxy.received;
  await there.mirror.pull(there.path(uri), exact);
  expect(proxy.received - received).toBeLessThan(20_000);
});

test('a single object, and a place that is its prefix only', async () => {
  const here = machine('here');
  mkdirSync(dirname(here.path('s3://models/rows.jsonl')), { recursive: true });
  writeFileSync(here.path('s3://models/rows.jsonl'), 'row');
  await here.mirror.push(here.path('s3://models/rows.jsonl'), exact);
  const there = machine('there');
  expect(await there.mirror.pull(there.path('s3://models/rows.jsonl'), exact)).toBe(true);
  expect(readFileSync(there.path('s3://models/rows.jsonl'), 'utf8')).toBe('row');
  expect(await there.mirror.pull(there.path('s3://models/rows'), exact)).toBe(false);
  expect(existsSync(there.path('s3://models/rows'))).toBe(false);
});

test('a download whose connection breaks goes on where it was', async () => {
  const proxy = await proxied();
  const here = machine('here');
  const digest = writeArtifact(here.path(uri));
  await here.mirror.push(here.path(uri), exact);
  const there = machine('there', { AWS_ENDPOINT_URL: proxy.endpoint });
  proxy.cut('client', 6 * mebibyte, 3);
  await there.mirror.pull(there.path(uri), exact);
  expect(openArtifact(there.path(uri)).digest).toBe(digest);
  expect(proxy.cuts).toBe(3);
  expect(proxy.received).toBeLessThan(24 * mebibyte);
});

test('a download that was killed goes on in the next process', async () => {
  const proxy = await proxied();
  const here = machine('here');
  const digest = writeArtifact(here.path(uri));
  await here.mirror.push(here.path(uri), exact);
  const abort = new AbortController();
  const cut = machine('there', { AWS_ENDPOINT_URL: proxy.endpoint }, abort.signal);
  const progress = (done: number) => done > 12 * mebibyte && abort.abort();
  await expect(cut.mirror.pull(cut.path(uri), { exact: true, progress })).rejects.toThrow();
  const before = proxy.received;
  const there = machine('there', { AWS_ENDPOINT_URL: proxy.endpoint });
  await there.mirror.pull(there.path(uri), exact);
  expect(openArtifact(there.path(uri)).digest).toBe(digest);
  expect(proxy.received - before).toBeLessThan(12 * mebibyte);
});

test('an upload whose connection breaks in the middle of a part is whole in the end', async () => {
  const proxy = await proxied();
  const here = machine('here', { AWS_ENDPOINT_URL: proxy.endpoint });
  const digest = writeArtifact(here.path(uri));
  proxy.cut('server', 3 * mebibyte, 3);
  await here.mirror.push(here.path(uri), exact);
  expect(proxy.cuts).toBe(3);
  const there = machine('there');
  await there.mirror.pull(there.path(uri), exact);
  expect(openArtifact(there.path(uri)).digest).toBe(digest);
});

test('a server that dies in the middle of an upload has no artifact; the next push makes it whole', async () => {
  const proxy = await proxied();
  const here = machine('here', { AWS_ENDPOINT_URL: proxy.endpoint });
  const digest = writeArtifact(here.path(uri), 40 * mebibyte);
  const abort = new AbortController();
  const pushed = here.mirror.push(here.path(uri), exact, { signal: abort.signal });
  pushed.catch(() => undefined);
  while (proxy.sent < 10 * mebibyte) await sleep(5);
  await server.kill();
  abort.abort();
  await expect(pushed).rejects.toThrow();
  await server.restart();
  expect(existsSync(server.fileOf('models', 'team/words/manifest.json'))).toBe(false);
  expect(existsSync(server.fileOf('models', 'team/words/model.safetensors'))).toBe(false);

  await here.mirror.push(here.path(uri), exact);
  const there = machine('there');
  await there.mirror.pull(there.path(uri), exact);
  expect(openArtifact(there.path(uri)).digest).toBe(digest);
});

test('another artifact at the same place: old files go, and no manifest stands over new files', async () => {
  const here = machine('here');
  writeArtifact(here.path(uri));
  writeFileSync(join(here.path(uri), 'old.txt'), 'old');
  sealArtifact(here.path(uri), { kind: 'Model', madeFrom: {}, hyperparameters: {} });
  await here.mirror.push(here.path(uri), exact);

  rmSync(here.path(uri), { recursive: true });
  const digest = writeArtifact(here.path(uri), 60 * mebibyte);
  const manifest = server.fileOf('models', 'team/words/manifest.json');
  const old = readFileSync(manifest, 'utf8');
  const pushed = here.mirror.push(here.path(uri), exact);
  let sawNone = false;
  let done = false;
  void pushed.finally(() => {
    done = true;
  });
  while (!done) {
    if (!existsSync(manifest)) sawNone = true;
    else if (sawNone) expect(readFileSync(manifest, 'utf8')).not.toBe(old);
    await sleep(2);
  }
  await pushed;
  expect(sawNone).toBe(true);
  const there = machine('there');
  await there.mirror.pull(there.path(uri), exact);
  expect(openArtifact(there.path(uri)).digest).toBe(digest);
  expect(existsSync(server.fileOf('models', 'team/words/old.txt'))).toBe(false);
});

test('a manifest alone takes the place of the one that was looked at, and of none that another has sealed meanwhile', async () => {
  const stored = () => readFileSync(server.fileOf('models', 'team/words/manifest.json'), 'utf8');
  const seal = (path: string, note: string) => {
    rmSync(join(path, 'manifest.json'));
    sealArtifact(path, { kind: 'Adapter', madeFrom: {}, hyperparameters: { note } });
    return readFileSync(join(path, 'manifest.json'), 'utf8');
  };
  const other = machine('other');
  let asked: (() => Promise<void>) | undefined;
  const { path } = machine('slow');
  const slow = new Mirror({
    scratch: join(directory, 'slow'),
    environment: server.credentials,
    signal: new AbortController().signal,
    beforePush: async () => await asked?.(),
  });
  writeArtifact(path(uri));
  await slow.push(path(uri), exact);
  const second = seal(path(uri), 'second');
  await slow.push(path(uri), exact);
  expect(stored()).toBe(second);

  await other.mirror.pull(other.path(uri), exact);
  const third = seal(other.path(uri), 'third');
  // Asked before its one upload whether it has its place still; then it sleeps, and wakes when another has sealed there.
  const times: string[] = [];
  asked = async () => {
    const time = times.push(stored());
    if (time === 2) await other.mirror.push(other.path(uri), exact);
    if (time === 3) throw new Error('taken over');
  };
  seal(path(uri), 'of who has lost');
  await expect(slow.push(path(uri), exact)).rejects.toThrow('taken over');
  expect(times).toEqual([second, second, third]);
  expect(stored()).toBe(third);
});

test('an object that was deleted is stored again, and is told of where it is only read', async () => {
  const here = machine('here');
  const digest = writeArtifact(here.path(uri));
  await here.mirror.push(here.path(uri), exact);
  rmSync(server.fileOf('models', 'team/words/deep/config.json'));
  const there = machine('there');
  await there.mirror.pull(there.path(uri), exact);
  expect(() => openArtifact(there.path(uri))).toThrow(/config.json: is in the manifest but not there/);
  await here.mirror.push(here.path(uri), exact);
  await there.mirror.pull(there.path(uri), exact);
  expect(openArtifact(there.path(uri)).digest).toBe(digest);
});

test('bytes that changed in the store are noticed by their sha256', async () => {
  const here = machine('here');
  writeArtifact(here.path(uri), 1000);
  await here.mirror.push(here.path(uri), exact);
  writeFileSync(server.fileOf('models', 'team/words/model.safetensors'), randomBytes(1000));
  const there = machine('there');
  await expect(there.mirror.pull(there.path(uri), exact)).rejects.toThrow(
    /s3:\/\/models\/team\/words\/model.safetensors: came with another sha256/,
  );
});

test('a store that is away for a while gets a background push, the newest state of it', async () => {
  const here = machine('here');
  const path = here.path('s3://models/words.checkpoints');
  mkdirSync(join(path, 'step-1'), { recursive: true });
  writeFileSync(join(path, 'step-1/state.json'), '1');
  await server.kill();
  const failures: unknown[] = [];
  here.mirror.pushLater(path, exact, (error) => failures.push(error));
  await sleep(300);
  rmSync(join(path, 'step-1'), { recursive: true });
  mkdirSync(join(path, 'step-2'));
  writeFileSync(join(path, 'step-2/state.json'), '2');
  here.mirror.pushLater(path, exact, (error) => failures.push(error));
  await server.restart();
  await here.mirror.settled();
  expect(failures).toEqual([]);
  const there = machine('there');
  await there.mirror.pull(there.path('s3://models/words.checkpoints'), { exact: false });
  expect(existsSync(join(there.path('s3://models/words.checkpoints'), 'step-1'))).toBe(false);
  expect(readFileSync(join(there.path('s3://models/words.checkpoints'), 'step-2/state.json'), 'utf8')).toBe(
    '2',
  );
});

test('what is wrong is said with the place and whose credentials they are, and no credential is', async () => {
  const wrong: [RegExp, NodeJS.ProcessEnv, string][] = [
    [/does not take the credentials of the environment/, { AWS_SECRET_ACCESS_KEY: 'a-wrong-secret' }, uri],
    [/does not take the credentials of the environment/, { AWS_ACCESS_KEY_ID: 'AKIAUNKNOWN' }, uri],
    [/there is no bucket nowhere/, {}, 's3://nowhere/words'],
    [/does not answer as it should \(ECONNREFUSED\)/, { AWS_ENDPOINT_URL: 'http://127.0.0.1:1' }, uri],
  ];
  for (const [right, environment, place] of wrong) {
    const { mirror, path } = machine('wrong', environment);
    const failure = (await mirror.pull(path(place), exact).catch((error: unknown) => error)) as Error;
    expect(failure.message).toMatch(right);
    expect(failure.message).toContain(place);
    const told = JSON.stringify([failure.message, failure.stack]);
    for (const secret of [server.secretKey, server.accessKey, 'a-wrong-secret', 'AKIAUNKNOWN'])
      expect(told).not.toContain(secret);
  }
});

test("a source's Secret opens its store, from the mounted files", async () => {
  const secrets = join(directory, 'secrets');
  mkdirSync(join(secrets, 'models'), { recursive: true });
  for (const [key, value] of Object.entries(server.credentials))
    writeFileSync(join(secrets, 'models', key), `${value}\n`);
  const scratch = join(directory, 'pod');
  const mirror = new Mirror({ scratch, secrets, environment: {}, signal: new AbortController().signal });
  const path = (secret: string) =>
    resolveUri(uri, { claims: {}, base: '/', scratch }, 'spec.model.uri', secret);
  const digest = writeArtifact(path('models'), 1000);
  await mirror.push(path('models'), exact);
  rmSync(path('models'), { recursive: true });
  await mirror.pull(path('models'), exact);
  expect(openArtifact(path('models')).digest).toBe(digest);
  await expect(mirror.pull(path('others'), exact)).rejects.toThrow(/Secret others is not mounted/);
});

test('what comes to a place while an artifact goes up is not written over, in one part or in several', async () => {
  const here = machine('here');
  const place = here.path(uri);
  const digest = writeArtifact(place);
  const seen = await here.mirror.look(place);
  await here.mirror.push(place, exact, { seen });
  const there = machine('there');
  await there.mirror.pull(there.path(uri), exact);
  expect(openArtifact(there.path(uri)).digest).toBe(digest);
  for (const [name, text] of [
    ['model.safetensors', randomBytes(12 * mebibyte)],
    ['manifest.json', 'theirs'],
    ['other', 'theirs'],
  ] as const) {
    // Over what was seen: every file is another one.
    writeArtifact(place);
    await here.mirror.push(place, exact, { seen });
    writeArtifact(place);
    const other = machine(name);
    const file = other.path(`${uri}/${name}`);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
    let isLaid = false;
    const waiting = new Mirror({
      scratch: join(directory, 'here'),
      environment: server.credentials,
      signal: new AbortController().signal,
      // The first change of the store is the old manifest's removal.
      async beforePush() {
        if (isLaid || existsSync(server.fileOf('models', 'team/words/manifest.json'))) return;
        isLaid = true;
        await other.mirror.push(file, exact);
      },
    });
    const brought = waiting.push(place, exact, { seen, removable: ['manifest.json'] });
    // What has no name of ours stays beside them: the earlier artifact is gone by then.
    if (name === 'other') expect(await brought).toEqual([name]);
    else await expect(brought).rejects.toMatchObject({ reason: 'Changed' });
    expect(readFileSync(server.fileOf('models', `team/words/${name}`)).equals(Buffer.from(text))).toBe(true);
    server.forget('models', 'team/words');
  }
});

test('what went up is taken back, in one part or in several, and no file of another that has the bytes of ours', async () => {
  const other = machine('other');
  for (const name of ['deep/config.json', 'other']) {
    mkdirSync(dirname(other.path(`${uri}/${name}`)), { recursive: true });
    writeFileSync(other.path(`${uri}/${name}`), '{}');
  }
  const there = (name: string) => existsSync(server.fileOf('models', `team/words/${name}`));
  let [isLaid, changes] = [false, 0];
  const here = new Mirror({
    scratch: join(directory, 'here'),
    environment: server.credentials,
    signal: new AbortController().signal,
    async beforePush() {
      // Two files go up at once: the first of all is up, or on its way, before the third is asked for.
      if (++changes !== 3) return;
      isLaid = true;
      await expect.poll(() => there('deep/config.json')).toBe(true);
      await other.mirror.push(other.path(uri), { exact: false });
    },
  });
  const place = machine('here').path(uri);
  writeArtifact(place);
  const seen = await here.look(place);
  await expect(here.push(place, exact, { seen })).rejects.toMatchObject({ reason: 'Changed' });
  expect(isLaid).toBe(true);
  const names = ['deep/config.json', 'other', 'model.safetensors', 'empty', 'manifest.json'];
  expect(names.filter(there)).toEqual(['deep/config.json', 'other']);
});

test('an artifact of the same manifest that another machine brought stands at every moment, and nothing of it goes up again but what its server does not tell of', async () => {
  const place = machine('here').path(uri);
  const digest = writeArtifact(place);
  await machine('here').mirror.push(place, exact);
  const proxy = await proxied();
  let [isWhole, changes] = [true, 0];
  const scratch = join(directory, 'there');
  const there = new Mirror({
    scratch,
    environment: { ...server.credentials, AWS_ENDPOINT_URL: proxy.endpoint },
    signal: new AbortController().signal,
    async beforePush() {
      changes += 1;
      isWhole &&= ['manifest.json', 'deep/config.json'].every((name) =>
        existsSync(server.fileOf('models', `team/words/${name}`)),
      );
    },
  });
  const made = machine('there').path(uri);
  cpSync(place, made, { recursive: true });
  const push = async () => {
    changes = 0;
    const before = proxy.sent;
    await there.push(made, exact, { seen: await there.look(made), removable: [], stands: true });
    return proxy.sent - before;
  };
  expect(await push()).toBeLessThan(15_000);
  // Asked once, before anything.
  expect(changes).toBe(1);
  // Laid there by hand, it has no sha256 beside it.
  server.forget('models', 'team/words/deep/config.json');
  rmSync(join(scratch, '.notes'), { recursive: true });
  const client = new S3Client({
    ...{ endpoint: server.endpoint, forcePathStyle: true, region: 'us-east-1' },
    credentials: { accessKeyId: server.accessKey, secretAccessKey: server.secretKey },
  });
  await client.send(
    new PutObjectCommand({ Bucket: 'models', Key: 'team/words/deep/config.json', Body: '{}' }),
  );
  client.destroy();
  expect(await push()).toBeLessThan(15_000);
  expect(changes).toBe(2);
  expect(isWhole).toBe(true);
  const reader = machine('reader');
  await reader.mirror.pull(reader.path(uri), exact);
  expect(openArtifact(reader.path(uri)).digest).toBe(digest);
});
