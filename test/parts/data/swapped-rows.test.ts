// Rows are read as they were hashed: what lies in their place only while they are read is found out, in every container.
import { cpSync, mkdirSync, mkdtempSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { CheckedFiles } from '../../../src/artifact/index.ts';
import { dataDigest, readRows } from '../../../src/data/index.ts';
import { parquet, plainText } from '../../support/tiny/parquet.ts';

const root = mkdtempSync(join(tmpdir(), 'offsite-rows-'));
afterAll(() => rmSync(root, { recursive: true }));

const count = 50;
const texts = (word: string) => Array.from({ length: count }, (_, i) => `${word} ${i}`);
const lines = (word: string) =>
  texts(word)
    .map((text) => `${JSON.stringify({ text })}\n`)
    .join('');
const columns = (word: string) =>
  parquet({
    page: Buffer.concat(texts(word).map(plainText)),
    ...{ rows: count, values: count, pageValues: count },
  });

type Write = (directory: string, word: string) => void;
const one =
  (name: string, bytes: (word: string) => string | Uint8Array): Write =>
  (directory, word) =>
    writeFileSync(join(directory, name), bytes(word));
const two =
  (name: string, bytes: (word: string) => string | Uint8Array): Write =>
  (directory, word) => {
    one(`1${name}`, bytes)(directory, `first ${word}`);
    one(`2${name}`, bytes)(directory, `second ${word}`);
  };
/** Of each, `write` lays right or wrong rows into a directory, of which `at` is what is read, in `names`. */
const kinds: [string, { at: string; names: string[]; write: Write }][] = [
  ['a file of lines', { at: 'a.jsonl', names: ['a.jsonl'], write: one('a.jsonl', lines) }],
  [
    'gzip',
    { at: 'a.jsonl.gz', names: ['a.jsonl.gz'], write: one('a.jsonl.gz', (word) => gzipSync(lines(word))) },
  ],
  [
    'zstd',
    {
      at: 'a.jsonl.zst',
      names: ['a.jsonl.zst'],
      write: one('a.jsonl.zst', (word) => zstdCompressSync(lines(word))),
    },
  ],
  ['Parquet', { at: 'a.parquet', names: ['a.parquet'], write: one('a.parquet', columns) }],
  ['two shards of lines', { at: '', names: ['1.jsonl', '2.jsonl'], write: two('.jsonl', lines) }],
  ['two shards of Parquet', { at: '', names: ['1.parquet', '2.parquet'], write: two('.parquet', columns) }],
];

const hash = CheckedFiles.prototype.digest;

describe.each(kinds)('rows in %s', (_, { at, names, write }) => {
  const right = join(root, 'right');
  const wrong = join(root, 'wrong');
  const place = join(root, 'place');
  const path = join(place, at);
  let digest: string;
  beforeAll(() => {
    for (const [directory, word] of [
      [right, 'right'],
      [wrong, 'WRONG'],
    ] as const) {
      rmSync(directory, { recursive: true, force: true });
      mkdirSync(directory);
      write(directory, word);
      // The time must not be what gives a swap away.
      for (const name of names) utimesSync(join(directory, name), 1000, 1000);
    }
  });
  beforeEach(() => {
    vi.restoreAllMocks();
    rmSync(place, { recursive: true, force: true });
    cpSync(right, place, { recursive: true, preserveTimestamps: true });
    digest = dataDigest(path, 'spec.data');
  });

  const put = (from: string, only = names) => {
    for (const name of only) {
      cpSync(join(from, name), join(place, `.${name}`), { preserveTimestamps: true });
      renameSync(join(place, `.${name}`), join(place, name));
    }
  };
  const read = (during: () => void) => {
    let asked = 0;
    const cancelled = () => {
      if (++asked === 1) during();
      return false;
    };
    return readRows(path, 'text', { digest, cancelled });
  };
  const message = 'was changed while it was read; nothing was made of it: run again';
  const changed = expect.objectContaining({ reason: 'BadData', message: expect.stringContaining(message) });

  test('that are others while they are read, and are put back, are refused', async () => {
    put(wrong);
    await expect(read(() => put(right))).rejects.toEqual(changed);
  });

  test('that are swapped between hash and opening are refused', async () => {
    vi.spyOn(CheckedFiles.prototype, 'digest').mockImplementation(function (this: CheckedFiles, file) {
      const sha256 = hash.call(this, file);
      if (file.endsWith(names.at(-1) as string)) put(wrong);
      return sha256;
    });
    await expect(read(() => put(right))).rejects.toEqual(changed);
  });

  // A process for each file of Parquet takes its time: one shows it.
  if (names[0] === '1.parquet') return;

  test('are those of the digest where nothing happens', async () => {
    const all = (await read(() => {})).map(({ text }) => text);
    const both = [...texts('first right'), ...texts('second right')];
    expect(all).toEqual(names.length === 1 ? texts('right') : both);
  });

  test('that are swapped once they are open are refused', async () => {
    await expect(read(() => put(wrong, names.slice(-1)))).rejects.toEqual(changed);
  });
});

test('rows that are written into while they are read are refused, with limit and without', async () => {
  const path = join(root, 'into.jsonl');
  for (const limit of [2, count]) {
    writeFileSync(path, lines('right'));
    const digest = dataDigest(path, 'spec.data');
    const cancelled = () => {
      writeFileSync(path, lines('WRONG'), { flag: 'r+' });
      return false;
    };
    await expect(readRows(path, 'text', { digest, limit, cancelled })).rejects.toMatchObject({
      reason: 'BadData',
      message: `${path}: was changed while it was read; nothing was made of it: run again`,
    });
  }
});
