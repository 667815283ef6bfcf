import { execFileSync } from 'node:child_process';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { OffsiteError } from '../../../src/api/index.ts';
import { onDisk } from '../../../src/artifact/index.ts';
import { Expansion } from '../../../src/data/expansion.ts';
import { dataDigest, readRows } from '../../../src/data/index.ts';
import { parquetRows } from '../../../src/data/parquet.ts';
import { readParquet } from '../../../src/data/parquet-file.ts';
import type { ParquetJob, ParquetReply } from '../../../src/data/parquet-messages.ts';
import { rangedFile } from '../../../src/data/ranged-file.ts';
import { handedOver, Subprocess } from '../../../src/subprocess/index.ts';
import { parquet, plainText, steps, withFooter } from '../../support/tiny/parquet.ts';

const fixtures = fileURLToPath(new URL('../../fixtures/parquet/', import.meta.url));
let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'packed-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

function file(name: string, content: string | Uint8Array): string {
  const path = join(directory, name);
  writeFileSync(path, content);
  return path;
}

/** The message of the BadData that reading must end in, without the file's name, which it must start with. */
async function problem(
  path: string,
  read: () => Promise<unknown> = () => readRows(path, 'text'),
): Promise<string> {
  try {
    await read();
  } catch (error) {
    expect(error).toBeInstanceOf(OffsiteError);
    expect((error as OffsiteError).reason).toBe('BadData');
    expect((error as OffsiteError).message.startsWith(`${path}: `)).toBe(true);
    return (error as OffsiteError).message.slice(path.length + 2);
  }
  throw new Error('the rows were read');
}

const rows = Array.from({ length: 2000 }, (_, i) => ({ text: `row ${i}` }));
const lines = rows.map((row) => `${JSON.stringify(row)}\n`);
const half = (pack: (text: string) => Uint8Array) =>
  Buffer.concat([pack(lines.slice(0, 1000).join('')), pack(lines.slice(1000).join(''))]);

describe('compressed rows', () => {
  test.each<[string, Uint8Array]>([
    ['gzip', gzipSync(lines.join(''))],
    ['zstd', zstdCompressSync(lines.join(''))],
    ['gzip in two members', half(gzipSync)],
    ['zstd in two frames', half(zstdCompressSync)],
    [
      'zstd with a frame of notes first',
      Buffer.concat([Buffer.from('502a4d180400000001020304', 'hex'), half(zstdCompressSync)]),
    ],
  ])('in %s are read, whatever the file is called', async (_, bytes) => {
    const path = file('rows.jsonl', bytes);
    expect(await readRows(path, 'text')).toEqual(rows);
    expect(await readRows(path, 'text', { limit: 3 })).toEqual(rows.slice(0, 3));
  });

  test.each([
    ['gz', gzipSync],
    ['zst', zstdCompressSync],
  ] as const)('of a directory of *.jsonl.%s shards are read in order', async (ending, pack) => {
    const path = join(directory, ending);
    mkdirSync(path);
    writeFileSync(join(path, `train-00001-of-00002.jsonl.${ending}`), pack(lines.slice(1000).join('')));
    writeFileSync(join(path, `train-00000-of-00002.jsonl.${ending}`), pack(lines.slice(0, 1000).join('')));
    expect(await readRows(path, 'text')).toEqual(rows);
    writeFileSync(join(path, 'train-00000-of-00002.jsonl'), lines.join(''));
    expect(await problem(path)).toBe(
      `holds *.jsonl and *.jsonl.${ending} files; name the file that is meant`,
    );
  });

  const bomb = `${JSON.stringify({ text: 'a'.repeat(1 << 20) })}\n`.repeat(20);
  test.each<[string, Uint8Array, RegExp]>([
    [
      'gzip that is cut off',
      gzipSync(lines.join('')).subarray(0, 2000),
      /^its gzip data is damaged or cut off$/,
    ],
    [
      'zstd that is cut off',
      zstdCompressSync(lines.join('')).subarray(0, 500),
      /^its zstd data is damaged or cut off$/,
    ],
    [
      'zstd with a window of 256 MiB',
      Buffer.concat([Buffer.from('28b52ffd0090890000', 'hex'), Buffer.from('{"text": "fox"}\n\n')]),
      /^its zstd data needs a window of more than 128 MiB to be read; pack it again without --long/,
    ],
    [
      'gzip that is damaged',
      Buffer.concat([gzipSync('x').subarray(0, 10), Buffer.alloc(50, 7)]),
      /^its gzip data is damaged/,
    ],
    [
      'gzip that expands without bound',
      gzipSync(bomb),
      /^its \d+ bytes of gzip expand to more than 16777216; unpack it/,
    ],
    [
      'zstd that expands without bound',
      zstdCompressSync(bomb),
      /^its \d+ bytes of zstd expand to more than 16777216; unpack it/,
    ],
    [
      'one packed line of 30 MB',
      gzipSync(Buffer.alloc(3e7, 'a')),
      /^row 1: has more than 16 MiB|expand to more than/,
    ],
    ['gzip of nothing', gzipSync(''), /^the file is empty; it needs at least one row$/],
    ['brotli', brotliCompressSync(lines.join('')), /^row 1: is not (UTF-8|valid JSON)/],
    ['a zip archive', Buffer.from('PK\x03\x04 and more'), /^is a zip archive/],
    [
      'a Git LFS pointer',
      Buffer.from('version https://git-lfs.github.com/spec/v1\noid sha256:0'),
      /^is a Git LFS pointer, not/,
    ],
    ['UTF-16', Buffer.from(`\ufeff${lines[0]}`, 'utf16le'), /^is UTF-16 text; save it as UTF-8$/],
    ['Parquet', parquet({}), /^is a Parquet file; its name must end in \.parquet$/],
    ['an answer of a server', Buffer.from('<!DOCTYPE html>\n<html>'), /^is an HTML page/],
  ])('refuses %s by what it is', async (_, bytes, expected) => {
    expect(await problem(file('bad.jsonl', bytes))).toMatch(expected);
  });

  test('are counted for all shards together: any number of them may each be within its own bound', () => {
    const row = { text: 'a'.repeat(1000) };
    const together = new Expansion([10, 10], 3000);
    for (const number of [1, 2, 3]) together.add(row, `row ${number}`);
    expect(() => together.add(row, 'b: row 4')).toThrow(
      "b: row 4: the directory's 2 files expand to more than 4000 bytes up to here; name one of them, if that is right",
    );
    const alone = new Expansion([10], 10);
    for (let number = 1; number < 1000; number++) alone.add(row, `row ${number}`);
  });

  test.each(['jsonl', 'parquet'])(
    'refuses what is no file of rows: a directory, a named pipe, .%s',
    async (ending) => {
      const path = join(directory, `no-rows.${ending}`);
      execFileSync('mkfifo', [path]);
      expect(await problem(path)).toBe('is no plain file');
      expect(await problem(path, async () => dataDigest(path, 'spec.data'))).toBe('is no plain file');
      rmSync(path);
      const nested = join(directory, `nested-${ending}`);
      mkdirSync(join(nested, `rows.${ending}`), { recursive: true });
      const inner = join(nested, `rows.${ending}`);
      expect(await problem(inner, () => readRows(nested, 'text'))).toBe('is a directory, not a file');
    },
  );
});

describe('Parquet', () => {
  test.each(readdirSync(fixtures).filter((name) => /-([12]|nothing)\./.test(name)))(
    'in %s is read',
    async (name) => {
      const read = await readRows(join(fixtures, name), 'text');
      expect(read).toHaveLength(60);
      expect(read[7]).toEqual({ text: `row 7: ${'words and more words '.repeat(3)}` });
    },
  );

  test('that was written by hand is read', async () => {
    expect(await readRows(file('one.parquet', parquet({})), 'text')).toEqual([{ text: 'one' }]);
    const marked = parquet({ page: plainText('\ufeffone') });
    expect(await readRows(file('marked.parquet', marked), 'text')).toEqual([{ text: '\ufeffone' }]);
    const page = Uint8Array.from([3, 0, 0, 0, 0x61, 0xff, 0x62]);
    await expect(readRows(file('bytes.parquet', parquet({ page })), 'text')).rejects.toThrow(
      /row 1: column "text"/,
    );
  });

  test.each<[string, Uint8Array, RegExp]>([
    [
      'a codec that is not read',
      parquet({ codec: 3 }),
      /^cannot be read as Parquet: parquet unsupported compression codec: LZO$/,
    ],
    ['no bytes', new Uint8Array(), /^the file is empty; it needs at least one row$/],
    ['JSON lines', Buffer.from('{"text": "a"}\n'), /^is no Parquet file$/],
    [
      'a Git LFS pointer',
      Buffer.from('version https://git-lfs.github.com/spec/v1\noid'),
      /^is a Git LFS pointer/,
    ],
  ])('refuses %s', async (_, bytes, expected) => {
    expect(await problem(file('bad.parquet', bytes))).toMatch(expected);
  });

  /** What its decoder says, as the process that it runs in tells it: 'a codec that is not read' has gone that way. */
  async function refusal(path: string, alwaysAllowed?: number): Promise<string> {
    const size = statSync(path).size;
    const descriptor = openSync(path, 'r');
    try {
      for await (const _ of readParquet(
        rangedFile({ descriptor, size }),
        Number.POSITIVE_INFINITY,
        alwaysAllowed,
      ));
    } catch (error) {
      return (error as Error).message;
    } finally {
      closeSync(descriptor);
    }
    throw new Error('the rows were read');
  }

  test.each<[string, Uint8Array, RegExp]>([
    [
      'its first bytes only',
      parquet({}).subarray(0, 40),
      /^is cut off: it does not end as a Parquet file does$/,
    ],
    [
      'a trillion rows',
      parquet({ rows: 10n ** 12n }),
      /^row group 1 claims 1000000000000 rows, more than 16777216/,
    ],
    ['negative rows', parquet({ rows: -5 }), /^row group 1 claims its rows as -5; the file is damaged/],
    [
      'a trillion values',
      parquet({ values: 10n ** 12n }),
      /^row group 1, column "text" claims 1000000000000 values, more than 16777216/,
    ],
    [
      'many columns of as many values as one may have',
      parquet({ columns: 5, values: 2 ** 24, pageValues: 1 }),
      /^row group 1 claims more than 67108864 values in its 5 columns; write smaller row groups, or leave columns out$/,
    ],
    [
      'a page of two billion values',
      parquet({ pageValues: 2 ** 31 - 1 }),
      /a page claims 2147483647 values, more than there can be$/,
    ],
    [
      'a page that unpacks to 2 GB',
      parquet({ unpacked: 2 ** 31 - 1, codec: 1 }),
      /a row group expands to more than 1 GiB/,
    ],
    [
      'many row groups of a schema of many columns that they leave out',
      parquet({ groups: 100, unused: 100_000 }),
      /^its schema has 100002 elements and it has 100 row groups, more than 8388608 descriptions of columns in all; /,
    ],
    [
      'row groups that all name one page',
      parquet({ groups: 3 }),
      /^row group 2 names bytes that others have; the file is damaged$/,
    ],
    [
      'a page that unpacks to more than it says',
      parquet({ page: gzipSync(plainText('a'.repeat(1e6))), unpacked: 7, codec: 2 }),
      /^cannot be read as Parquet: /,
    ],
    [
      'a JSON column whose value is none, without a word of it',
      parquet({ converted: 19, page: plainText('Maria Meier, born 1971') }),
      /^cannot be read as Parquet: a value in it is not of the type that its column says$/,
    ],
    ['a page of negative size', parquet({ unpacked: -1 }), /a page has a header without sizes/],
    ['a column beyond the file', parquet({ size: 10n ** 12n }), /a column lies outside the file/],
    [
      'a footer larger than the file',
      Buffer.from('PAR1xxxx\xff\xff\xff\x00PAR1', 'latin1'),
      /^its footer claims 16777215 bytes of 16/,
    ],
    ['a footer of noughts', withFooter(new Uint8Array(1000)), /^cannot be read as Parquet: /],
    [
      'structs in structs without end',
      withFooter(new Uint8Array(1 << 20).fill(0x1c)),
      /^cannot be read as Parquet: Maximum call stack/,
    ],
  ])('refuses to decode %s', async (_, bytes, expected) => {
    expect(await refusal(file('bad.parquet', bytes))).toMatch(expected);
  });

  test('refuses row groups whose pages, each within its bound, come to too much all together', async () => {
    // A text, and behind it what no row has.
    const page = Buffer.concat([plainText('one'), Buffer.alloc(2 ** 20)]);
    const packed = { codec: 4, page: brotliCompressSync(page), unpacked: page.length };
    const path = file('bad.parquet', parquet({ groups: 20, apart: true, ...packed }));
    expect(await refusal(path, 2 ** 22)).toMatch(
      /^row group 4: the file's \d+ bytes expand to more than 4194304 up to here; split the file, if that is right$/,
    );
  });

  test.each([
    ['many.parquet', /^row group 1 claims 20000000 rows, more than 16777216; write smaller row groups$/],
    ['long.parquet', /a row group expands to more than 1 GiB; write smaller row groups$/],
  ])('refuses %s, a real one that expands', async (name, expected) => {
    expect(await problem(join(fixtures, name))).toMatch(expected);
  });

  test('refuses a value that nests as deep as one thread can write and another cannot read', async () => {
    const deep = (levels: number) => `${'['.repeat(levels)}1${']'.repeat(levels)}`;
    const nested = (levels: number) => parquet({ converted: 19, page: plainText(deep(levels)) });
    expect(await problem(file('deep.parquet', nested(3000)))).toBe(
      'row 1: nests lists or structs more than 64 deep',
    );
    expect(await problem(file('flat.parquet', nested(63)))).toBe('row 1: column "text": must be text');
  });

  const all = async (path: string, limits: Parameters<typeof parquetRows>[2]) => {
    let count = 0;
    for await (const _ of parquetRows(path, { files: onDisk, limit: Number.POSITIVE_INFINITY }, limits))
      count++;
    return count;
  };

  const repeated = (bytes: number, rows: number) =>
    parquet({ dictionary: plainText('a'.repeat(bytes)), rows, values: rows, pageValues: rows });

  test('has rows of 16 MiB at most, as JSON lines have, however often one text of its dictionary is named', async () => {
    const most = 2 ** 24 - 'text'.length - 8;
    const whole = await readRows(file('most.parquet', repeated(most, 1)), 'text');
    expect(whole.map(({ text }) => text.length)).toEqual([most]);
    const longer = file('longer.parquet', repeated(2 ** 24, 1 << 20));
    expect(await problem(longer)).toMatch(/^row 1: has more than 16 MiB$/);
  });

  test('of little that expands to rows without end is refused at 1 GiB of them', async () => {
    const path = file('repeated.parquet', repeated(1 << 20, 1 << 20));
    const expected =
      /^row 1024: the file's \d+ bytes expand to more than 1073741824 up to here; split the file, if that is right$/;
    let rows = 0;
    const read = async () => {
      const opened = rangedFile({ descriptor: openSync(path, 'r'), size: statSync(path).size });
      for await (const { bytes } of readParquet(opened, Number.POSITIVE_INFINITY)) {
        if (bytes !== 2 ** 20 + 'text'.length + 8) throw new Error(`a row of ${bytes} bytes`);
        rows++;
      }
    };
    await expect(read()).rejects.toThrow(expected);
    expect(rows).toBe(1023);
  });

  test('comes in answers of few rows where rows are long', async () => {
    const path = file('long-rows.parquet', repeated(1 << 20, 100));
    const decoder = new Subprocess<ParquetJob, ParquetReply>({
      program: new URL('../../../src/data/parquet-program.ts', import.meta.url),
      heapMebibytes: 512,
      descriptor: openSync(path, 'r'),
    });
    const job = { descriptor: handedOver, size: statSync(path).size, limit: 100 };
    const outcome = await decoder.request(job, { seconds: 100, memory: 2 ** 30 });
    decoder.close();
    const { rows, last } = ('reply' in outcome ? outcome.reply : outcome) as {
      rows: unknown[];
      last: boolean;
    };
    expect([rows.length, last]).toEqual([4, false]);
  });

  const few = { seconds: 100, memory: 300 * 2 ** 20 };
  const tooMuch =
    /^a row group takes more than 300 MiB of memory; the file is damaged, or write it with smaller row groups$/;

  test('that costs more memory than its process may have is the data owner’s', async () => {
    const path = join(fixtures, 'some.parquet');
    // Not far above what the process takes before it reads: it is looked at now and then, and must have it when it is.
    const little = { ...few, memory: 64 * 2 ** 20 };
    expect(await problem(path, () => all(path, little))).toMatch(/^a row group takes more than 64 MiB of /);
    expect(await all(path, { ...few, memory: 500 * 2 ** 20 })).toBe(300_000);
  });

  test('whose few bytes stand for gigabytes outside of the heap is given up all the same', async () => {
    // Each text repeats more bytes than the one before has: 400 MiB of the last one alone.
    const prefixes = Buffer.concat([steps(0, 1 << 20, 400), steps(0, 0, 400), Buffer.from('x')]);
    const texts = { page: prefixes, encoding: 7, rows: 400, values: 400, pageValues: 400 };
    const path = file('prefixes.parquet', parquet(texts));
    expect(await problem(path, () => all(path, few))).toMatch(tooMuch);
  });

  test('has pages whose nulls are some of their values, and no fewer than none', async () => {
    const numbers = {
      page: steps(1, 1, 1000),
      encoding: 5,
      type: 2,
      rows: 1000,
      values: 1000,
      pageValues: 1000,
    };
    const path = file('nulls.parquet', parquet({ ...numbers, nulls: 0 }));
    expect(await all(path, few)).toBe(1000);
    for (const nulls of [-(10 ** 9), 1001]) {
      const bad = file('bad-nulls.parquet', parquet({ ...numbers, nulls }));
      expect(await problem(bad, () => all(bad, few))).toBe(
        `cannot be read as Parquet: a page claims ${nulls} nulls among 1000 values; the file is damaged`,
      );
    }
  });

  const endless = () => {
    const number = withFooter(Buffer.concat([Uint8Array.of(0x16), new Uint8Array(8 << 20).fill(0xff)]));
    return file('slow.parquet', number);
  };

  test('that costs time without end is given up', async () => {
    const path = endless();
    expect(await problem(path, () => all(path, { ...few, seconds: 0.5 }))).toMatch(
      /^a row group takes more than 0.5 s of computing; the file is damaged, or write it with smaller row groups$/,
    );
  });

  test('is left at once when the work is stopped, whatever its process is at', async () => {
    let asked = 0;
    const reading = readRows(endless(), 'text', { cancelled: () => ++asked > 3 });
    await expect(reading).rejects.toMatchObject({ reason: 'Cancelled' });
    expect(asked).toBe(4);
  });
});

test('rows of JSON lines are left at once when the work is stopped', async () => {
  const path = file('stopped.jsonl', '{"text":"a"}\n'.repeat(5));
  let asked = 0;
  await expect(readRows(path, 'text', { cancelled: () => ++asked > 2 })).rejects.toMatchObject({
    reason: 'Cancelled',
  });
  expect(asked).toBe(3);
});
