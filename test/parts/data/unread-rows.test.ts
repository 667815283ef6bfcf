// A disk that does not answer while rows are read is no fault of the rows, in every container.
import fs, { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { onDisk } from '../../../src/artifact/index.ts';
import { readRows } from '../../../src/data/index.ts';
import { parquetRows } from '../../../src/data/parquet.ts';
import { readParquet } from '../../../src/data/parquet-file.ts';
import { rangedFile } from '../../../src/data/ranged-file.ts';
import { parquet, plainText } from '../../support/tiny/parquet.ts';

const real = fs.readSync;

/** The disk answers up to this byte of a file, until the test ends. */
function answersTo(end: number): void {
  Object.assign(fs, {
    readSync(...args: [number, Uint8Array, number, number, number]) {
      const [, , , length, position] = args;
      if (position + length > end)
        throw Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO', errno: -5, syscall: 'read' });
      return real(...args);
    },
  });
  syncBuiltinESMExports();
}

/** What is read next starts so; after it the disk is as it was. */
function startsWith(text: string): void {
  Object.assign(fs, {
    readSync(_: number, buffer: Uint8Array) {
      forget();
      return Buffer.from(buffer.buffer, buffer.byteOffset).write(text);
    },
  });
  syncBuiltinESMExports();
}

function forget(): void {
  Object.assign(fs, { readSync: real });
  syncBuiltinESMExports();
}

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'unread-'));
});
afterEach(forget);
afterAll(() => rmSync(directory, { recursive: true }));

const eio = (path: string) => ({ code: 'EIO', path, message: `EIO: i/o error, read '${path}'` });
// What packs badly: several pieces are read of each.
const lines = Array.from(
  { length: 20_000 },
  (_, i) => `${JSON.stringify({ text: `${Math.sin(i)}` })}\n`,
).join('');

describe('rows whose disk stops to answer keep the system’s error', () => {
  test.each([
    ['a.jsonl', lines],
    ['a.jsonl.gz', gzipSync(lines)],
    ['a.jsonl.zst', zstdCompressSync(lines)],
  ])('%s', async (name, bytes) => {
    const path = join(directory, name);
    writeFileSync(path, bytes);
    await expect(readRows(path, 'text')).resolves.toHaveLength(20_000);
    answersTo(1 << 17);
    await expect(readRows(path, 'text')).rejects.toMatchObject(eio(path));
  });

  test.each([8, 200])('Parquet, of which %i bytes are read', async (bytes) => {
    const path = join(directory, 'a.parquet');
    const text = Array.from({ length: 50 }, (_, i) => plainText(`row ${i}`));
    writeFileSync(path, parquet({ page: Buffer.concat(text), rows: 50, values: 50, pageValues: 50 }));
    const file = onDisk.open(path);
    const size = Number(file.stat.size);
    const ranged = rangedFile({ descriptor: file.descriptor, size });
    // The footer, which is read first, answers; the pages before it do not.
    const rows = readParquet(
      { size, read: (start, end) => (start < size - bytes ? unread() : ranged.read(start, end)) },
      50,
    );
    const unread = () => {
      answersTo(0);
      return ranged.read(0, size);
    };
    await expect(rows.next()).rejects.toMatchObject({ code: 'EIO' });
    file.close();
  });

  test('Parquet, of the process that decodes it', async () => {
    const path = '/proc/self/mem';
    const file = onDisk.open(path);
    // It starts as Parquet does; where its footer must be, nothing answers.
    startsWith('PAR1');
    const files = {
      ...onDisk,
      open: () => ({ ...file, stat: { size: 4096n } as never as typeof file.stat }),
    };
    await expect(parquetRows(path, { files, limit: 1 }).next()).rejects.toMatchObject({ code: 'EIO', path });
  });

  test('that cannot be opened', async () => {
    const path = join(directory, 'a.jsonl');
    const error = Object.assign(new Error(`ESTALE: stale, open '${path}'`), { code: 'ESTALE' });
    const files = {
      ...onDisk,
      open: () => {
        throw error;
      },
    };
    await expect(parquetRows(path, { files, limit: 1 }).next()).rejects.toBe(error);
  });
});
