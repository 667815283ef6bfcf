import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { printable } from '../../../../src/api/index.ts';
import { itself } from '../../../../src/artifact/inner-path.ts';
import { pull } from '../../../../src/artifact/mirror/pull.ts';
import { StoreCopy } from '../../../../src/artifact/mirror/store-copy.ts';
import type { Store, StoredObject } from '../../../../src/artifact/stores/store.ts';
import { badNames, badPairs } from '../../../support/hostile/index.ts';

/** A store that says and sends whatever the test wants. */
class PlayedStore implements Store {
  objects: StoredObject[] = [];
  reads = 0;
  body: (from: number) => Readable = () => Readable.from([]);

  async list(): Promise<StoredObject[]> {
    return this.objects;
  }

  async read(_object: string, { from }: { from: number }) {
    this.reads++;
    return { body: this.body(from), checksum: undefined };
  }
}

let root: string;
let scratch: string;
let store: PlayedStore;
let copy: StoreCopy;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'offsite-pull-'));
  scratch = join(root, 'a/b/c/scratch');
  mkdirSync(scratch, { recursive: true });
  writeFileSync(join(root, 'own'), 'own');
  store = new PlayedStore();
  copy = new StoreCopy(scratch, { scheme: 's3', place: 'bucket/run', secret: undefined });
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const object = (path: string, sizeBytes = 1): StoredObject => ({ path, sizeBytes, version: 'v' });
const pulled = (stall = 60_000) =>
  pull(store, copy, { signal: new AbortController().signal, exact: true, patience: { stall, retry: 1 } });
const filesBelow = (directory: string) =>
  readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .sort();

describe('names', () => {
  it.each(badNames)('$name is refused before anything is read or written', async ({ name, problem }) => {
    store.objects = [object('good'), object(name), object('other')];
    store.body = () => Readable.from([Buffer.from('x')]);
    await expect(pulled()).rejects.toMatchObject({
      reason: 'BadModel',
      message: `s3://bucket/run: the name "${printable(name)}" ${problem}`,
    });
    expect(store.reads).toBe(0);
    expect(filesBelow(root)).toEqual(['own']);
  });

  it.each(badPairs)('$names are refused', async ({ names, problem }) => {
    store.objects = names.map((name) => object(name));
    await expect(pulled()).rejects.toMatchObject({
      reason: 'BadModel',
      message: `s3://bucket/run: ${problem}`,
    });
    expect(filesBelow(root)).toEqual(['own']);
  });

  it('as long as they may be come whole, also one that is like the note of another', async () => {
    const names = [
      'x'.repeat(255),
      'a',
      'a.note',
      'a.note.part',
      'a.note.json',
      'a.note.part.json',
      'Grüße 🙂',
    ];
    store.objects = names.map((name) => object(name));
    store.body = () => Readable.from([Buffer.from('x')]);
    await pulled();
    expect(readdirSync(copy.fileOf(itself)).sort()).toEqual([...names].sort());
  });

  it('more files than there are in any artifact are refused', async () => {
    store.objects = Array.from({ length: 10_001 }, (_, i) => object(String(i)));
    await expect(pulled()).rejects.toMatchObject({
      reason: 'BadModel',
      message: expect.stringContaining('s3://bucket/run: has more than 10000 files'),
    });
  });
});

it('a document that is longer than any is not brought', async () => {
  store.objects = [object('', 2 ** 26 + 1)];
  const most = 2 ** 26;
  await expect(
    pull(store, copy, { signal: new AbortController().signal, exact: true, most }),
  ).rejects.toMatchObject({
    reason: 'BadModel',
    message: 's3://bucket/run: has 67108865 bytes; at most 67108864 are taken of such a file',
  });
  expect(store.reads).toBe(0);
});

describe('a symbolic link in the copy', () => {
  it.each([
    ['of a directory on the way', 's3/_/bucket', 'run/weights'],
    ['of the copy itself', 's3/_/bucket/run', 'weights'],
    ['of a directory in it', 's3/_/bucket/run/deep', 'weights'],
    ['of a file in it', 's3/_/bucket/run/deep/weights', ''],
  ])('%s: nothing is written or cleared through it', async (_, link, victim) => {
    const elsewhere = join(root, 'elsewhere');
    mkdirSync(join(elsewhere, 'run'), { recursive: true });
    writeFileSync(join(elsewhere, victim || 'file'), 'own');
    mkdirSync(join(scratch, link, '..'), { recursive: true });
    symlinkSync(victim ? elsewhere : join(elsewhere, 'file'), join(scratch, link));
    store.objects = [object('deep/weights')];
    store.body = () => Readable.from([Buffer.from('x')]);
    await expect(pulled()).rejects.toMatchObject({
      reason: 'BadSpec',
      message: expect.stringMatching(/: a symbolic link lies in its copy \(.*\) and leads out of it: remove/),
    });
    expect(readFileSync(join(elsewhere, victim || 'file'), 'utf8')).toBe('own');
    expect(store.reads).toBe(0);
  });

  it('that nothing of the store goes through is cleared away, not what it leads to', async () => {
    mkdirSync(copy.fileOf(itself), { recursive: true });
    symlinkSync(root, join(copy.fileOf(itself), 'link'));
    store.objects = [object('weights')];
    store.body = () => Readable.from([Buffer.from('x')]);
    await pulled();
    expect(readdirSync(copy.fileOf(itself))).toEqual(['weights']);
    expect(readFileSync(join(root, 'own'), 'utf8')).toBe('own');
  });
});

describe('bodies', () => {
  const partSize = () =>
    filesBelow(scratch)
      .filter((path) => path.endsWith('.part'))
      .map((path) => readFileSync(join(root, path)).length);

  it('longer than stated: no more is read, and never more than stated lies on the disk', async () => {
    store.objects = [object('weights', 100_000)];
    let sent = 0;
    store.body = () =>
      new Readable({
        highWaterMark: 1,
        read() {
          sent += 70_000;
          this.push(Buffer.alloc(70_000));
        },
      });
    await expect(pulled()).rejects.toMatchObject({
      reason: 'Changed',
      message: 's3://bucket/run/weights: its server sends more than the 100000 bytes that it said',
    });
    expect(sent).toBeLessThan(3_000_000);
    expect(partSize()).toEqual([]);
    expect(existsSync(join(copy.fileOf(itself), 'weights'))).toBe(false);
  });

  it('shorter than stated, again and again: told, not asked for without end', async () => {
    store.objects = [object('weights', 100_000)];
    await expect(pulled()).rejects.toMatchObject({
      reason: 'StoreUnavailable',
      message: 's3://bucket/run/weights: its server sends 0 of the 100000 bytes that it said',
    });
    expect(store.reads).toBe(7);
  });

  it('that trickle are broken off', async () => {
    store.objects = [object('weights', 100_000)];
    let open = 0;
    store.body = () => {
      open++;
      return Readable.from(
        (async function* () {
          try {
            for (;;) {
              yield Buffer.alloc(1);
              await sleep(1);
            }
          } finally {
            open--;
          }
        })(),
      );
    };
    await expect(pulled(20)).rejects.toMatchObject({
      reason: 'StoreUnavailable',
      message: 's3://bucket/run/weights: its server sent less than 16384 bytes in 0.02 s',
    });
    expect(open).toBe(0);
  });

  it.each([-1, 0.5, Number.NaN, 2 ** 53])('of %d bytes are none', async (sizeBytes) => {
    store.objects = [object('weights', sizeBytes)];
    await expect(pulled()).rejects.toMatchObject({
      reason: 'StoreUnavailable',
      message: 's3://bucket/run: its server does not say how long weights is',
    });
  });

  it('that come whole in pieces are whole', async () => {
    const bytes = Buffer.from(Array.from({ length: 50_000 }, (_, i) => i % 251));
    store.objects = [object('weights', bytes.length)];
    store.body = (from) => Readable.from([bytes.subarray(from, from + 20_000)]);
    await pulled();
    const hash = (value: Buffer) => createHash('sha256').update(value).digest('hex');
    expect(hash(readFileSync(join(copy.fileOf(itself), 'weights')))).toBe(hash(bytes));
  });
});
