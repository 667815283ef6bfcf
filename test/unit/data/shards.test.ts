// Which files of a directory are its rows: where names say how many there are, all of them or none.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { dataDigest, readRows } from '../../../src/data/index.ts';
import { shardsOf } from '../../../src/data/shards.ts';

const root = mkdtempSync(join(tmpdir(), 'offsite-shards-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let made = 0;
function directoryOf(...names: string[]): string {
  const path = join(root, String(made++));
  mkdirSync(path);
  for (const name of names) writeFileSync(join(path, name), '{"text": "fox"}\n');
  return path;
}
const problemOf = (path: string, look: (path: string) => unknown = shardsOf) => {
  try {
    return { names: look(path) };
  } catch (error) {
    const { reason, message } = error as Error & { reason: string };
    return `${reason}: ${message.replace(`${path}: `, '')}`;
  }
};
const orOneFile = 'put all of them there, or name the one file that is meant';

describe('shards that say how many they are', () => {
  test.each([
    ['counted from 0', ['a-00000-of-00003.jsonl', 'a-00001-of-00003.jsonl', 'a-00002-of-00003.jsonl']],
    ['counted from 1', ['a-00001-of-00003.jsonl', 'a-00002-of-00003.jsonl', 'a-00003-of-00003.jsonl']],
    ['without zeros in front', Array.from({ length: 12 }, (_, i) => `a-${i}-of-12.parquet`)],
    ['after a dot', ['a.00000-of-00002.jsonl.gz', 'a.00001-of-00002.jsonl.gz']],
    ['with underscores', ['a_0_of_2.jsonl.zst', 'a_1_of_2.jsonl.zst']],
    ['by numbers alone', ['0-of-2.jsonl', '1-of-2.jsonl']],
    ['that are one', ['a-00000-of-00001.parquet']],
    ['that are one, counted from 1', ['a-1-of-1.parquet']],
  ])('%s are read where all are there', (_, names) => {
    expect(shardsOf(directoryOf(...names.toReversed(), 'README.md')).map((file) => basename(file))).toEqual(
      names,
    );
  });

  test.each<[string, string[], string]>([
    [
      'the last ones',
      ['t-00000-of-00003.jsonl'],
      `holds 1 of the 3 files that their names tell of: 2 missing, the first t-00001-of-00003.jsonl; ${orOneFile}`,
    ],
    [
      'the one between',
      ['t-00000-of-00003.parquet', 't-00002-of-00003.parquet'],
      `holds 2 of the 3 files that their names tell of: 1 missing, the first t-00001-of-00003.parquet; ${orOneFile}`,
    ],
    [
      'the first of those that are counted from 1',
      ['t-00002-of-00003.jsonl.gz', 't-00003-of-00003.jsonl.gz'],
      `holds 2 of the 3 files that their names tell of: 1 missing, the first t-00001-of-00003.jsonl.gz; ${orOneFile}`,
    ],
    [
      'the first or the last',
      ['t-00001-of-00003.jsonl.zst', 't-00002-of-00003.jsonl.zst'],
      `holds 2 of the 3 files that their names tell of: 1 missing, the first t-00000-of-00003.jsonl.zst (or t-00003-of-00003.jsonl.zst, where they are counted from 1); ${orOneFile}`,
    ],
    [
      'one with a hash',
      ['t-00000-of-00002-0f63b1db27ce9d8e.parquet'],
      `holds 1 of the 2 files that their names tell of: 1 missing, the first t-00001-of-00002-*.parquet; ${orOneFile}`,
    ],
    [
      'with underscores, most',
      ['t_0_of_8.jsonl'],
      `holds 1 of the 8 files that their names tell of: 7 missing, the first t_1_of_8.jsonl; ${orOneFile}`,
    ],
    [
      'more than could be there',
      ['t-0-of-99999999999.jsonl'],
      `holds 1 of the 99999999999 files that their names tell of: 99999999998 missing, the first t-1-of-99999999999.jsonl; ${orOneFile}`,
    ],
  ])('are refused where they lack %s', async (_, names, message) => {
    const path = directoryOf(...names);
    expect(problemOf(path)).toBe(`BadData: ${message}`);
    expect(problemOf(path, (place) => dataDigest(place, 'spec.data'))).toBe(`BadData: ${message}`);
    await expect(readRows(path, 'text')).rejects.toThrow(message);
  });

  test.each<[string, string[], string]>([
    [
      'one more than they say',
      ['t-0-of-2.jsonl', 't-1-of-2.jsonl', 't-2-of-2.jsonl'],
      'holds t-2-of-2.jsonl, whose number is none of 2 counted from 0; name the file that is meant',
    ],
    [
      'one beyond all',
      ['t-1-of-2.jsonl', 't-2-of-2.jsonl', 't-7-of-2.jsonl'],
      'holds t-7-of-2.jsonl, whose number is none of 2 counted from 1; name the file that is meant',
    ],
    [
      'one of none',
      ['t-0-of-0.jsonl'],
      'holds t-0-of-0.jsonl, whose number is none of 0 counted from 0; name the file that is meant',
    ],
    [
      'a number twice',
      ['t-1-of-2.jsonl', 't-01-of-2.jsonl'],
      'holds several sets of rows (t-01-of-2.jsonl, t-1-of-2.jsonl); name the file that is meant',
    ],
    [
      'another sharding',
      ['t-0-of-1.jsonl', 't-0-of-2.jsonl', 't-1-of-2.jsonl'],
      'holds several sets of rows (t-0-of-1.jsonl, t-0-of-2.jsonl, t-1-of-2.jsonl); name the file that is meant',
    ],
    [
      'one without a number',
      ['t-of-2.jsonl', 't-0-of-2.jsonl', 't-1-of-2.jsonl'],
      'holds several sets of rows (t-0-of-2.jsonl, t-1-of-2.jsonl, t-of-2.jsonl); name the file that is meant',
    ],
  ])('are refused with %s', (_, names, message) => {
    expect(problemOf(directoryOf(...names))).toBe(`BadData: ${message}`);
  });

  test('one of them that is named is read alone', async () => {
    const path = join(directoryOf('t-00001-of-00003.jsonl'), 't-00001-of-00003.jsonl');
    expect(shardsOf(path)).toEqual([path]);
    expect(await readRows(path, 'text')).toEqual([{ text: 'fox' }]);
  });
});

test.each([
  ['numbers', ['0001.parquet', '0003.parquet']],
  [
    'Spark’s numbers',
    [
      'part-00000-3f2b8a1c-9d4e-4b6f-8a7c-0e1d2c3b4a59-c000.jsonl',
      'part-00002-3f2b8a1c-9d4e-4b6f-8a7c-0e1d2c3b4a59-c000.jsonl',
    ],
  ],
  ['a name that has no number of how many', ['best-of-5.jsonl']],
  ['numbers behind such a name', ['best_of_5.jsonl', 'best_of_6.jsonl']],
])('of %s nothing is missing', (_, names) => {
  expect(shardsOf(directoryOf(...names)).map((file) => basename(file))).toEqual(names);
});
