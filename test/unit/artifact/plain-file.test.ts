/** What is put in a file's place between the look at it and its reading is neither waited for nor read. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { confineTo, namesToClear } from '../../../src/artifact/confinement.ts';
import { hashFiles, WrittenFiles } from '../../../src/artifact/index.ts';
import { push } from '../../../src/artifact/mirror/push.ts';
import { StoreCopy } from '../../../src/artifact/mirror/store-copy.ts';
import { copyModelFile, NotPlain, openPlain, openPlainHandle } from '../../../src/artifact/plain-file.ts';
import type { WritableStore } from '../../../src/artifact/stores/store.ts';
import { companionsOf } from '../../../src/model/companions.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'offsite-plain-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const here = (name: string) => join(directory, name);
const pipeAt = (path: string) => {
  rmSync(path, { recursive: true, force: true });
  execFileSync('mkfifo', [path]);
};

it.each<[string, (path: string) => void]>([
  ['a named pipe', pipeAt],
  ['a directory', (path) => mkdirSync(path)],
  ['a device', (path) => symlinkSync('/dev/zero', path)],
])('%s is no file to open or to copy', async (_, make) => {
  make(here('a'));
  expect(() => openPlain(here('a'))).toThrow(NotPlain);
  await expect(openPlainHandle(here('a'))).rejects.toThrow(NotPlain);
  expect(() => copyModelFile(here('a'), here('b'))).toThrow(`${here('a')}: is no plain file`);
  expect(readdirSync(directory)).toEqual(['a']);
});

it('what is no file is not even opened: that alone acts on some devices', async () => {
  const server = createServer().listen(here('socket'));
  await once(server, 'listening');
  // The system opens no socket, and would say so.
  symlinkSync('socket', here('LICENSE'));
  try {
    expect(() => openPlain(here('LICENSE'))).toThrow(NotPlain);
    await expect(openPlainHandle(here('LICENSE'))).rejects.toThrow(NotPlain);
  } finally {
    server.close();
  }
});

it('where a thread is confined to a claim, no link that comes there leads out of it, whatever a look has found before', async () => {
  const [claim, elsewhere] = [here('claim'), here('elsewhere')];
  for (const path of [claim, elsewhere]) mkdirSync(join(path, 'model'), { recursive: true });
  for (const path of [claim, elsewhere]) writeFileSync(join(path, 'model', 'LICENSE'), path);
  writeFileSync(join(claim, 'words'), 'ours');
  symlinkSync('../words', join(claim, 'model', 'inner'));
  symlinkSync(join(elsewhere, 'model', 'LICENSE'), join(claim, 'model', 'outer'));
  symlinkSync(join(elsewhere, 'model'), join(claim, 'through'));
  const opens = async (path: string) => {
    closeSync(openPlain(path).descriptor);
    await (await openPlainHandle(path)).close();
  };
  const refused = ['model/outer', 'through/LICENSE'].map((name) => join(claim, name));
  for (const path of refused) await opens(path);
  confineTo([claim]);
  try {
    for (const path of refused) {
      expect(() => openPlain(path)).toThrow('is a symbolic link that leads out of its claim');
      await expect(openPlainHandle(path)).rejects.toThrow('is a symbolic link that leads out of its claim');
      expect(() => copyModelFile(path, here('copy'))).toThrow(`${path}: is a symbolic link that leads out`);
      expect(() => hashFiles(claim)).toThrow('leads out of its claim');
    }
    for (const path of ['model/LICENSE', 'model/inner', 'words']) await opens(join(claim, path));
    expect(namesToClear(join(claim, 'through'))).toEqual([]);
    expect(namesToClear(join(claim, 'model')).sort()).toEqual(['LICENSE', 'inner', 'outer']);
    // What is on no claim is the pod's own.
    await opens(join(elsewhere, 'model', 'LICENSE'));
  } finally {
    confineTo([]);
  }
});

it('a copy has the same bytes, goes over nothing, and is not there where it is not whole', () => {
  const bytes = Buffer.alloc((9 << 20) + 3, 'abc');
  writeFileSync(here('a'), bytes);
  copyModelFile(here('a'), here('b'));
  expect(readFileSync(here('b')).equals(bytes)).toBe(true);
  writeFileSync(here('c'), 'mine');
  expect(() => copyModelFile(here('a'), here('c'))).toThrow('EEXIST');
  expect(readFileSync(here('c'), 'utf8')).toBe('mine');
  expect(() => copyModelFile(here('a'), here('d'), 1000)).toThrow('at most 1000 are taken');
  writeFileSync(here('e'), '');
  copyModelFile(here('e'), here('f'));
  expect(readdirSync(directory)).toEqual(['a', 'b', 'c', 'e', 'f']);
});

it('a licence that becomes a pipe after it was looked at is refused by its name', () => {
  writeFileSync(here('LICENSE'), 'words');
  const [licence] = companionsOf(directory, hashFiles(directory).files);
  pipeAt(here('LICENSE'));
  mkdirSync(here('out'));
  expect(() => licence!.copy(new WrittenFiles(here('out')))).toThrow(`${here('LICENSE')}: is no plain file`);
});

it('a file that becomes a pipe before it goes to a store is not waited for', async () => {
  const copy = new StoreCopy(directory, { scheme: 's3', place: 'bucket/out', secret: undefined });
  const file = copy.fileOf('a.bin' as never);
  mkdirSync(join(file, '..'), { recursive: true });
  writeFileSync(file, 'bytes');
  const store = {
    list: async () => {
      pipeAt(file);
      return [];
    },
    write: async () => 'version',
  } as unknown as WritableStore;
  const pushed = push(store, copy, { signal: new AbortController().signal, exact: true });
  await expect(pushed).rejects.toThrow('is no plain file');
});

it('nothing in the library copies a file by its path, or opens one to be read by another way', () => {
  const root = join(import.meta.dirname, '../../..');
  const found = globSync('src/**/*.ts', { cwd: root }).filter((path) =>
    /\bcopyFile(Sync)?\(|\bcreateReadStream\('|openSync\([^)]*(O_RDONLY|'r')/.test(
      readFileSync(join(root, path), 'utf8'),
    ),
  );
  expect(found).toEqual([]);
});
