import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { push, type Seen } from '../../../../src/artifact/mirror/push.ts';
import { StoreCopy } from '../../../../src/artifact/mirror/store-copy.ts';
import { MemoryStore } from '../../../support/unit/artifact/memory-store.ts';

let directory: string;
let store: MemoryStore;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'offsite-push-'));
  store = new MemoryStore();
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const inCopy = (path: string) => join(directory, 's3/_/bucket/run', path);
function write(path: string, content: string): void {
  mkdirSync(dirname(inCopy(path)), { recursive: true });
  writeFileSync(inCopy(path), content);
}
async function pushed(mayChange?: () => Promise<void>, seen?: Seen): Promise<string[]> {
  const copy = new StoreCopy(directory, { scheme: 's3', place: 'bucket/run', secret: undefined });
  await push(store, copy, { signal: new AbortController().signal, exact: true, mayChange, seen });
  return [...store.objects.keys()].sort();
}

function checkpoint(step: number): void {
  write(`step-${step}/weights`, `weights ${step}`);
  write(`step-${step}/state.json`, `state ${step}`);
}
const forget = (path: string) => rmSync(inCopy(path), { recursive: true });

it('a file that is renamed over while it is stored goes up whole, the old or the new, with its own sha256', async () => {
  write('manifest.json', 'old');
  let times = 0;
  store.onWrite = () => {
    if (times++ > 0) return;
    write('newer', 'new and longer');
    renameSync(inCopy('newer'), inCopy('manifest.json'));
  };
  await pushed();
  expect(store.objects.get('bucket/run/manifest.json')!.bytes.toString()).toBe('old');
  await pushed();
  expect(store.objects.get('bucket/run/manifest.json')!.bytes.toString()).toBe('new and longer');
});

it('of checkpoints that follow each other, one is whole in the store at every moment', async () => {
  const isWhole = (step: number) =>
    ['weights', 'state.json'].every((file) => store.objects.has(`bucket/run/step-${step}/${file}`));
  checkpoint(1);
  checkpoint(2);
  await pushed();
  store.onChange = () => expect([1, 2, 3, 4].some(isWhole)).toBe(true);
  checkpoint(3);
  checkpoint(4);
  forget('step-1');
  forget('step-2');
  expect(await pushed()).toEqual(
    [3, 4].flatMap((step) => [`bucket/run/step-${step}/state.json`, `bucket/run/step-${step}/weights`]),
  );
});

it('a checkpoint that goes is never there with its seal and without its files', async () => {
  checkpoint(1);
  await pushed();
  store.onChange = () => {
    const names = [...store.objects.keys()].filter((object) => object.includes('step-1'));
    if (names.some((name) => name.endsWith('state.json'))) expect(names).toHaveLength(2);
  };
  checkpoint(2);
  forget('step-1');
  expect(await pushed()).toEqual(['bucket/run/step-2/state.json', 'bucket/run/step-2/weights']);
});

it('of an artifact that stands there and has the same manifest, only what is not the same goes up', async () => {
  for (const name of ['weights', 'config.json', 'manifest.json', 'manifest.dsse.json'])
    store.put(`bucket/run/${name}`, Buffer.from('same'), name === 'config.json' ? undefined : 'theirs');
  for (const name of ['weights', 'config.json', 'manifest.json']) write(name, 'same');
  write('manifest.dsse.json', 'ours');
  const seen = new Map((await store.list('bucket/run')).map(({ path, version }) => [path, version]));
  const went: string[] = [];
  store.onWrite = (object) => void went.push(object);
  store.onChange = () => expect(store.objects.size).toBe(4);
  const copy = new StoreCopy(directory, { scheme: 's3', place: 'bucket/run', secret: undefined });
  await push(store, copy, { signal: new AbortController().signal, exact: true, seen, stands: true });
  expect(went.sort()).toEqual(['bucket/run/config.json', 'bucket/run/manifest.dsse.json']);
});

it('what an artifact no longer has goes before its new seal comes', async () => {
  write('old.txt', 'old');
  write('manifest.json', 'with old.txt');
  await pushed();
  write('manifest.json', 'without');
  forget('old.txt');
  store.onWrite = () => expect(store.objects.has('bucket/run/old.txt')).toBe(false);
  store.onChange = () => {
    if (store.objects.get('bucket/run/manifest.json')?.bytes.toString() === 'with old.txt')
      expect(store.objects.has('bucket/run/old.txt')).toBe(true);
  };
  expect(await pushed()).toEqual(['bucket/run/manifest.json']);
});

it('who loses the place in the middle takes nothing of who came there', async () => {
  write('a.bin', 'mine');
  write('b.bin', 'mine');
  write('manifest.json', 'mine');
  const theirs = ['a.bin', 'b.bin', 'manifest.json'].map((name) => `bucket/run/${name}`);
  let lost = false;
  store.onWrite = () => {
    lost = true;
    // What this process was storing when it lost the place may still come.
    for (const object of theirs) store.objects.set(object, { bytes: Buffer.from('theirs'), version: 't' });
  };
  await expect(
    pushed(async () => {
      if (lost) throw new Error('taken over');
    }),
  ).rejects.toThrow('taken over');
  expect(store.objects.get('bucket/run/manifest.json')!.bytes.toString()).toBe('theirs');
});

const seal = 'bucket/run/manifest.json';
const sealed = () => store.objects.get(seal)?.bytes.toString();

it.each([
  ['where there was none', undefined],
  ['over the one that was there', 'earlier'],
])('a run that lost its place while it waited seals nothing, %s', async (_, earlier) => {
  if (earlier !== undefined) store.put(seal, Buffer.from(earlier));
  write('weights', 'mine');
  if (earlier !== undefined) store.put('bucket/run/weights', Buffer.from('mine'));
  write('manifest.json', 'my manifest');
  store.onWrite = (object) => {
    // It had asked for its place, and slept; another one has taken the place, made its own and sealed it.
    if (object === seal) store.put(seal, Buffer.from('theirs'));
  };
  await expect(pushed()).rejects.toMatchObject({
    reason: 'StoreUnavailable',
    message: 's3://bucket/run/manifest.json: was written by another run just now; nothing was put over it',
  });
  expect(sealed()).toBe('theirs');
});

it('who has taken the place is named, where the lock says so', async () => {
  write('manifest.json', 'my manifest');
  let isLost = false;
  store.onWrite = () => {
    store.put(seal, Buffer.from('theirs'));
    isLost = true;
  };
  const mayChange = async () => {
    if (isLost) throw new Error('taken over');
  };
  await expect(pushed(mayChange)).rejects.toThrow('taken over');
  expect(sealed()).toBe('theirs');
});

it.each(['refusing', 'forgetful'] as const)('a seal goes up on a server that is %s', async (server) => {
  store.server = server;
  for (const content of ['one', 'another', 'a third']) {
    write('weights', content);
    write('manifest.json', `of ${content}`);
    expect(await pushed()).toEqual([seal, 'bucket/run/weights']);
    expect(sealed()).toBe(`of ${content}`);
  }
});

const look = async (): Promise<Seen> =>
  new Map((await store.list('bucket/run')).map(({ path, version }) => [path, version]));

/** What somebody else, who asks for no lock, lays there while files go up: all of it unconditionally, as `aws s3 sync` does. */
const laid: [what: string, files: string[], at: string][] = [
  ['of the same names, right after the first file', ['a.bin', 'b.bin', 'manifest.json'], 'a.bin'],
  ['of the same names, before the seal goes up', ['a.bin', 'b.bin', 'manifest.json'], 'manifest.json'],
  ['of other names, before the seal goes up', ['other.bin', 'manifest.json'], 'manifest.json'],
  ['of other names, while a file goes up', ['other.bin', 'manifest.json'], 'b.bin'],
  ['in a directory of that place', ['inner/other.bin', 'inner/manifest.json'], 'b.bin'],
  ['so far without a seal', ['b.bin'], 'b.bin'],
];

it.each(laid)('what comes while files go up stays, and is all that stays: %s', async (_, files, at) => {
  for (const earlier of [undefined, 'mine of before']) {
    store.objects.clear();
    for (const name of ['a.bin', 'b.bin', 'manifest.json']) write(name, `mine, after ${earlier}`);
    if (earlier !== undefined)
      for (const name of ['a.bin', 'b.bin', 'manifest.json'])
        store.put(`bucket/run/${name}`, Buffer.from(earlier));
    const seen = await look();
    let isLaid = false;
    store.onWrite = (object) => {
      if (isLaid || object !== `bucket/run/${at}`) return;
      isLaid = true;
      for (const name of files) store.put(`bucket/run/${name}`, Buffer.from('theirs'));
    };
    await expect(pushed(undefined, seen)).rejects.toMatchObject({ reason: 'Changed' });
    expect(isLaid).toBe(true);
    for (const name of files)
      expect(store.objects.get(`bucket/run/${name}`)?.bytes.toString()).toBe('theirs');
    for (const { bytes } of store.objects.values()) expect(bytes.toString()).not.toContain('after');
  }
});

it('what an artifact that came there lists is its own, whoever wrote it', async () => {
  for (const name of ['a.bin', 'b.bin', 'c.bin', 'manifest.json']) write(name, 'mine');
  const seen = await look();
  const entry = (path: string) => ({ path, sizeBytes: 4, sha256: '0'.repeat(64) });
  const manifest = {
    kind: 'Adapter',
    files: ['b.bin', 'c.bin'].map(entry),
    madeFrom: {},
    hyperparameters: {},
  };
  store.onWrite = (object) => {
    if (object !== 'bucket/run/c.bin') return;
    store.onWrite = () => {};
    // b.bin was not laid again, being there already.
    store.put('bucket/run/c.bin', Buffer.from('theirs'));
    store.put('bucket/run/manifest.json', Buffer.from(JSON.stringify(manifest)));
  };
  await expect(pushed(undefined, seen)).rejects.toMatchObject({ reason: 'Changed' });
  expect([...store.objects.keys()].sort()).toEqual(
    ['b.bin', 'c.bin', 'manifest.json'].map((n) => `bucket/run/${n}`),
  );
});

it.each([
  ['after ours', 'c.bin', undefined],
  ['before ours', 'a.bin', undefined],
  ['before ours, copied within the store', 'a.bin', 'of another run'],
])(
  'files of another that have the bytes of ours stay also where its manifest comes last: laid %s',
  async (_, at, writer) => {
    for (const name of ['a.bin', 'b.bin', 'c.bin', 'own.bin', 'manifest.json']) write(name, 'mine');
    const seen = await look();
    store.onWrite = (object) => {
      if (object !== `bucket/run/${at}`) return;
      store.onWrite = () => {};
      for (const name of ['a.bin', 'b.bin']) store.put(`bucket/run/${name}`, Buffer.from('mine'), writer);
      store.put('bucket/run/c.bin', Buffer.from('theirs'), writer);
    };
    await expect(pushed(undefined, seen)).rejects.toMatchObject({ reason: 'Changed' });
    expect([...store.objects.keys()].sort()).toEqual(
      ['a.bin', 'b.bin', 'c.bin'].map((n) => `bucket/run/${n}`),
    );
  },
);

it.each(['refusing', 'forgetful'] as const)(
  'what went up is taken back also from a server that is %s',
  async (server) => {
    store.server = server;
    for (const name of ['a.bin', 'b.bin', 'manifest.json']) write(name, 'mine');
    const seen = await look();
    store.onWrite = (object) => {
      if (object === 'bucket/run/b.bin') store.put('bucket/run/other.bin', Buffer.from('theirs'));
    };
    await expect(pushed(undefined, seen)).rejects.toMatchObject({ reason: 'Changed' });
    expect([...store.objects.keys()]).toEqual(['bucket/run/other.bin']);
  },
);

it.each(['a.bin', 'b.bin'])(
  'a note that comes as %s goes up stays: the earlier artifact is gone by then, and the new one is brought whole; else it ends',
  async (at) => {
    const names = ['a.bin', 'b.bin', 'manifest.json'];
    for (const earlier of [true, false]) {
      store.objects.clear();
      for (const name of names) write(name, `mine, after ${earlier}`);
      for (const name of [...names, 'old.bin'])
        if (earlier) store.put(`bucket/run/${name}`, Buffer.from('mine of before'));
      const seen = await look();
      store.onWrite = (object) => {
        if (object !== `bucket/run/${at}`) return;
        for (const name of ['README.md', 'old.bin']) store.put(`bucket/run/${name}`, Buffer.from('theirs'));
        store.onWrite = () => {};
      };
      const copy = new StoreCopy(directory, { scheme: 's3', place: 'bucket/run', secret: undefined });
      const { signal } = new AbortController();
      const removable = [...names, 'old.bin'];
      const brought = push(store, copy, { signal, exact: true, removable, seen });
      if (earlier) expect([...(await brought)].sort()).toEqual(['README.md', 'old.bin']);
      else await expect(brought).rejects.toMatchObject({ reason: 'Changed' });
      const there = [...store.objects].map(([object, { bytes }]) => [object, bytes.toString()]);
      const theirs = ['README.md', 'old.bin'].map((name) => [`bucket/run/${name}`, 'theirs']);
      const mine = earlier ? names.map((name) => [`bucket/run/${name}`, `mine, after ${earlier}`]) : [];
      expect(there.sort()).toEqual([...theirs, ...mine].sort());
    }
  },
);

it('over what was seen, and what came up in an earlier call, files go as ever', async () => {
  const seen = await look();
  for (const content of ['one', 'two']) {
    write('empty', '');
    write('weights', content);
    write('manifest.json', `of ${content}`);
    expect(await pushed(undefined, seen)).toEqual(['bucket/run/empty', seal, 'bucket/run/weights']);
    expect(sealed()).toBe(`of ${content}`);
  }
  store.put('bucket/run/weights', Buffer.from('theirs'));
  await expect(pushed(undefined, seen)).rejects.toMatchObject({
    reason: 'Changed',
    message: 's3://bucket/run/weights: came there meanwhile; nothing was put over it',
  });
});

it.each(['refusing', 'forgetful'] as const)(
  'what was seen is written over on a server that is %s',
  async (server) => {
    store.server = server;
    const seen = await look();
    write('weights', 'one');
    write('empty', '');
    write('manifest.json', 'of one');
    await pushed(undefined, seen);
    expect(sealed()).toBe('of one');
  },
);

it('a server that refuses a write for a moment, where nobody came, is tried again later, and nothing is taken back', async () => {
  const seen = await look();
  write('weights', 'one');
  write('manifest.json', 'of one');
  const refused = store.write.bind(store);
  store.write = async (object, outgoing) => {
    if (object !== seal) return await refused(object, outgoing);
    await buffer(outgoing.body);
    return undefined;
  };
  await expect(pushed(undefined, seen)).rejects.toMatchObject({ reason: 'StoreUnavailable' });
  expect([...store.objects.keys()]).toEqual(['bucket/run/weights']);
  store.write = refused;
  expect(await pushed(undefined, seen)).toEqual([seal, 'bucket/run/weights']);
});
