import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  type LockOptions,
  type LockPlace,
  lockTimes,
  TakenOver,
  takeLock,
} from '../../../../src/artifact/lock/lock.ts';
import { DiskLock, lockDirectoryOf } from '../../../../src/artifact/lock/on-disk.ts';
import { StoreLock } from '../../../../src/artifact/mirror/lock-in-store.ts';
import type { WritableStore, WriteCondition } from '../../../../src/artifact/stores/store.ts';

/** A store of small objects; a server that is not conditional writes whatever it is told, and one that is silent tells no versions either. */
class TextStore {
  readonly objects = new Map<string, { text: string; version: string }>();
  readonly #server: 'conditional' | 'careless' | 'refusing' | 'silent';
  #version = 0;

  constructor(server: 'conditional' | 'careless' | 'refusing' | 'silent' = 'conditional') {
    this.#server = server;
  }

  readText = async (object: string) => this.objects.get(object);

  writeText = async (object: string, text: string, condition: WriteCondition) => {
    const there = this.objects.get(object);
    if (condition !== 'anyway' && this.#server === 'refusing') return 'unsupported' as const;
    const holds =
      condition === 'anyway' ||
      (condition === 'absent' ? there === undefined : there?.version === condition.over);
    if (!holds && this.#server === 'conditional') return undefined;
    const version = this.#server === 'silent' ? '' : String(++this.#version);
    this.objects.set(object, { text, version });
    return version;
  };
}

const inStore = (store: TextStore) => new StoreLock(store as unknown as WritableStore, 'bucket/team/out', 5);

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'offsite-lock-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const options = (changes: Partial<LockOptions> = {}): LockOptions => ({
  owner: 'OffsiteTune data/words',
  waitsFor: () => true,
  refusal: ({ owner }) => new Error(`${owner} is at work there`),
  unwritable: (tries) => new Error(`could not be written ${tries} times`),
  signal: new AbortController().signal,
  times: lockTimes(600),
  ...changes,
});

/** What a process on another machine has written: nothing can be seen of it but its signs of life. */
const foreign = (changes: object = {}) =>
  JSON.stringify({
    ...{ token: 'theirs', owner: 'OffsiteTune data/other', run: 'uid-1', beat: 0 },
    process: { machine: 'elsewhere', id: 7, started: '1' },
    ...changes,
  });

let store: TextStore;
const places: [name: string, place: () => LockPlace][] = [
  ['on disk', () => new DiskLock(join(directory, 'deep/out'))],
  ['in a store', () => inStore(store)],
];

it('a lock is still held while a sign of life of its own is half written', async () => {
  let standing: { version: string; text: string } | undefined;
  const slow: LockPlace = {
    isReliable: true,
    read: async () => standing,
    write: async (text, over) => {
      if (standing?.version !== over) return undefined;
      const version = String(Number(over ?? 0) + 1);
      standing = { version, text: text.slice(0, 20) };
      await sleep(2);
      standing = { version, text };
      return version;
    },
    clear: async () => {},
  };
  const lock = await takeLock(slow, options({ times: { expiry: 60_000, beat: 3, look: 10 } }));
  for (let i = 0; i < 50; i++) {
    await sleep(1);
    await lock.check();
  }
  expect(Number(standing?.version)).toBeGreaterThan(5);
  await lock.release();
});

describe.each(places)('a lock %s', (name, placeOf) => {
  let place: LockPlace;
  beforeEach(() => {
    store = new TextStore();
    place = placeOf();
  });

  it('is one process’s at a time, and leaves nothing behind on disk', async () => {
    let holding = 0;
    const most = { holding: 0 };
    const contend = async () => {
      const lock = await takeLock(placeOf(), options({ times: { expiry: 60_000, beat: 5, look: 1 } }));
      holding += 1;
      most.holding = Math.max(most.holding, holding);
      await sleep(3);
      await lock.check();
      holding -= 1;
      await lock.release();
    };
    await Promise.all(Array.from({ length: 12 }, contend));
    expect(most.holding).toBe(1);
    if (name === 'on disk') expect(readdirSync(join(directory, 'deep'))).toEqual([]);
    else expect(store.objects.get('bucket/team/.out.offsite-lock')?.text).toContain('"released":true');
  });

  it('is taken from who gives no sign of life, and who lost it is told and writes nothing more', async () => {
    await place.write(foreign(), undefined);
    const waiting = vi.fn();
    const lock = await takeLock(placeOf(), options({ times: lockTimes(60), waiting }));
    expect(waiting).toHaveBeenCalledExactlyOnceWith({ owner: 'OffsiteTune data/other', processId: 7 });
    await lock.check();

    const next = foreign({ owner: 'OffsiteTune data/next' });
    // Its signs of life come in between.
    while ((await place.write(next, (await place.read())?.version)) === undefined);
    await vi.waitFor(() => expect(lock.lost.aborted).toBe(true), { timeout: 30_000 });
    expect(lock.lost.reason).toBeInstanceOf(TakenOver);
    await expect(lock.check()).rejects.toThrow(/OffsiteTune data\/next has taken the place over/);
    await lock.release();
    expect((await place.read())?.text).toContain('data/next');
  });

  it('is not taken from who is alive: another resource is refused as soon as that shows', async () => {
    const theirs = await takeLock(place, options({ owner: 'a', times: { ...lockTimes(600), beat: 10 } }));
    await expect(
      takeLock(placeOf(), options({ waitsFor: () => false, times: { ...lockTimes(600), look: 5 } })),
    ).rejects.toThrow('a is at work there');
    await theirs.release();
  });

  it('goes at once to the next pod of the same run, and from a process that has ended', async () => {
    await place.write(foreign(), undefined);
    const second = await takeLock(placeOf(), options({ run: 'uid-1', times: lockTimes(60_000) }));
    const mine = JSON.parse((await place.read())!.text) as { process: object };
    await second.release();

    const { pid } = spawnSync(process.execPath, ['--version']);
    const dead = { process: { ...mine.process, id: pid }, run: '' };
    await place.write(foreign(dead), (await place.read())?.version);
    await (await takeLock(placeOf(), options({ times: lockTimes(60_000) }))).release();
  });

  it('is waited for until it is wanted no more', async () => {
    await place.write(foreign(), undefined);
    const stop = new AbortController();
    const waits = takeLock(
      placeOf(),
      options({ signal: stop.signal, times: lockTimes(60_000), waiting: () => stop.abort() }),
    );
    await expect(waits).rejects.toMatchObject({ name: 'AbortError' });
  });

  it('that is written half, or by who knows whom, is somebody’s until it is silent for long', async () => {
    await place.write('{"token":', undefined);
    const lock = await takeLock(placeOf(), options({ times: lockTimes(60) }));
    await lock.release();
  });
});

/** A place at which these texts stand, one at each look, and then the last. */
function standing(texts: string[]): LockPlace {
  let looks = 0;
  return {
    isReliable: true,
    read: async () => ({ version: String(++looks), text: texts[looks - 1] ?? texts.at(-1)! }),
    write: async () => undefined,
    clear: async () => {},
  };
}

it('who waits for a holder waits on where a sign of life is half written', async () => {
  const half = ['', '{"token":', '', ''];
  const beats = Array.from({ length: 20 }, (_, beat) => [foreign({ beat }), ...half]).flat();
  const place = standing([...beats, foreign({ released: true })]);
  const waited: string[] = [];
  const ends = new AbortController();
  const taken = takeLock(place, {
    ...options({ times: { expiry: 60_000, beat: 1, look: 1 }, signal: ends.signal }),
    waitsFor: ({ owner }) => owner === 'OffsiteTune data/other',
    waiting: ({ owner }) => waited.push(owner),
    retrying: () => ends.abort(),
  });
  // The place is free in the end, and takes no writes.
  await expect(taken).rejects.toMatchObject({ name: 'AbortError' });
  expect(waited).toEqual(['OffsiteTune data/other']);
});

it('signs of life are seen where a store tells no versions', async () => {
  const silent = new TextStore('silent');
  const there = inStore(silent);
  let beat = 0;
  await there.write(foreign({ beat }), undefined);
  const alive = setInterval(() => void there.write(foreign({ beat: ++beat }), ''), 50);
  try {
    const times = { ...lockTimes(300), look: 10 };
    await expect(takeLock(inStore(silent), options({ waitsFor: () => false, times }))).rejects.toThrow(
      'OffsiteTune data/other is at work there',
    );
  } finally {
    clearInterval(alive);
  }
});

it('what changes and is never a holder’s is refused, and not waited for without end', async () => {
  let looks = 0;
  const place: LockPlace = { ...standing([]), read: async () => ({ version: String(++looks), text: 'x' }) };
  const times = { expiry: 100, beat: 1, look: 1 };
  const taken = takeLock(place, options({ times, waitsFor: ({ owner }) => owner !== 'another run' }));
  await expect(taken).rejects.toThrow(/another run/);
  expect(looks).toBeGreaterThan(10);
});

it('a holder who died while he wrote a sign of life is waited for no longer than any other', async () => {
  const texts = [foreign(), foreign({ beat: 1 }), ''];
  let looks = 0;
  let holder: string | undefined;
  const place: LockPlace = {
    isReliable: true,
    read: async () => {
      const at = Math.min(looks++, texts.length - 1);
      return { version: String(at), text: holder ?? texts[at]! };
    },
    write: async (text) => {
      holder = text;
      return 'mine';
    },
    clear: async () => {},
  };
  const times = { expiry: 100, beat: 20, look: 2 };
  const waitsFor = ({ owner }: { owner: string }) => owner === 'OffsiteTune data/other';
  const begun = performance.now();
  const lock = await takeLock(place, options({ times, waitsFor }));
  expect(looks).toBeGreaterThan(texts.length);
  expect(performance.now() - begun).toBeGreaterThan(times.expiry - 1);
  await lock.release();
});

it.each(['careless', 'refusing'] as const)(
  'a %s server’s lock is known for no reliable one',
  async (server) => {
    store = new TextStore(server);
    const lock = await takeLock(inStore(store), options());
    expect(lock.isReliable).toBe(false);
    await lock.check();
    await lock.release();
    const reliable = await takeLock(inStore(new TextStore()), options());
    expect(reliable.isReliable).toBe(true);
    await reliable.release();
  },
  20_000,
);

describe.each([
  ['free', { released: true }],
  ['silent', {}],
  ['not there', undefined],
])('a lock that is %s, on a server whose conditions never hold', (_, changes) => {
  const times = { expiry: 300, beat: 50, look: 10 };
  let refused: number;
  let holder: string | undefined;
  const place: LockPlace = {
    read: async () => (holder === undefined ? undefined : { version: '1', text: holder }),
    write: async () => {
      refused += 1;
      return undefined;
    },
    clear: async () => {},
    isReliable: true,
  };
  beforeEach(() => {
    refused = 0;
    holder = changes && foreign(changes);
  });

  it('is tried at growing distances, which is told, and given up after a time', async () => {
    const retrying = vi.fn();
    await expect(takeLock(place, options({ times, retrying }))).rejects.toThrow(
      /^could not be written [0-9]+ times$/,
    );
    expect(retrying).toHaveBeenCalledOnce();
    expect(refused).toBeGreaterThanOrEqual(20);
    expect(refused).toBeLessThan(80);
  });

  it('is waited for by nobody who is stopped', async () => {
    const stop = new AbortController();
    const waits = takeLock(place, options({ times, signal: stop.signal, retrying: () => stop.abort() }));
    await expect(waits).rejects.toMatchObject({ name: 'AbortError' });
  });
});

it('a stale look takes nothing from who came meanwhile', async () => {
  const place = new DiskLock(join(directory, 'out'));
  const first = await place.write('first', undefined);
  const second = await place.write('second', first);
  expect(await place.write('late', first)).toBeUndefined();
  expect(await place.write('late', undefined)).toBeUndefined();
  expect((await place.read())?.text).toBe('second');
  await place.clear(second!);
  expect(existsSync(join(directory, '.out.offsite-lock'))).toBe(false);
});

describe('a lock beside which others may write', () => {
  const lock = () => join(directory, '.out.offsite-lock');
  it('takes nothing away through a link in its place', async () => {
    const shards = join(directory, 'shards');
    mkdirSync(shards);
    for (const name of ['1', '2', '40']) writeFileSync(join(shards, name), 'private');
    symlinkSync(shards, lock());
    await expect(takeLock(new DiskLock(join(directory, 'out')), options())).rejects.toThrow(
      `${lock()}: is a symbolic link; nothing but the locks of runs may lie there: remove it`,
    );
    expect(readdirSync(shards)).toEqual(['1', '2', '40']);
  });

  it.each<[what: string, put: (path: string) => void, message: string]>([
    ['a link to a file', (path) => symlinkSync('../rows.jsonl', path), 'is a symbolic link'],
    ['a link that leads nowhere', (path) => symlinkSync('nowhere', path), 'is a symbolic link'],
    ['a named pipe', (path) => execFileSync('mkfifo', [path]), 'is not what a run makes there'],
    ['a directory', (path) => mkdirSync(path), 'is not what a run makes there'],
  ])('does not read %s for a sign of life', async (_, put, message) => {
    writeFileSync(join(directory, 'rows.jsonl'), foreign());
    mkdirSync(lock());
    put(join(lock(), '7'));
    await expect(takeLock(new DiskLock(join(directory, 'out')), options())).rejects.toThrow(message);
  });

  it('does not go on behind a number that no run comes to', async () => {
    mkdirSync(lock());
    writeFileSync(join(lock(), '9'.repeat(15)), foreign({ released: true }));
    await expect(takeLock(new DiskLock(join(directory, 'out')), options())).rejects.toThrow(
      `${'9'.repeat(15)}: no run has given so many signs of life: remove it`,
    );
  });

  it.each(['007', '0', '9'.repeat(16), '9'.repeat(250)])(
    'does not take %.20s for a number that a run has written',
    async (name) => {
      mkdirSync(lock());
      writeFileSync(join(lock(), name), foreign({ released: true }));
      await expect(takeLock(new DiskLock(join(directory, 'out')), options())).rejects.toThrow(
        `${join(lock(), name)}: is not what a run makes there`,
      );
      expect(readdirSync(lock())).toEqual([name]);
    },
  );

  it('goes on from the highest number that is taken for one', async () => {
    mkdirSync(lock());
    writeFileSync(join(lock(), '99999999999'), foreign({ released: true }));
    await (await takeLock(new DiskLock(join(directory, 'out')), options())).release();
    expect(existsSync(lock())).toBe(false);
  });

  it('is not looked at for who is stopped', async () => {
    const place = new DiskLock(join(directory, 'out'));
    await expect(place.read(AbortSignal.abort())).rejects.toThrow('aborted');
  });
});

describe('the name of a lock on disk', () => {
  const lockOf = (name: string) => lockDirectoryOf(join('/claim', name));

  it('is the same as in every version for a name of usual length', () => {
    expect(lockOf('words-adapter')).toBe('/claim/.words-adapter.offsite-lock');
    expect(lockOf('a'.repeat(100))).toBe(`/claim/.${'a'.repeat(100)}.offsite-lock`);
  });

  it('is of one place alone, however long its name and wherever it differs, and is one that a disk takes', () => {
    const names = ['x', '\u4e00', '\u{1f600}'].flatMap((character) => {
      const most = Math.floor(255 / Buffer.byteLength(character));
      const whole = Array.from({ length: most }, () => character);
      return [0, 1, 50, 62, most - 1].map((at) => whole.toSpliced(at, 1, 'y').join(''));
    });
    const locks = [...new Set(names)].map(lockOf);
    expect(new Set(locks).size).toBe(locks.length);
    for (const lock of locks) mkdirSync(join(directory, lock.slice('/claim/'.length)));
    expect(readdirSync(directory)).toHaveLength(locks.length);
  });
});
