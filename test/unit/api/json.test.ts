import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { listingBounds, listOf, mapOf, parseJson } from '../../../src/api/index.ts';
import { costOf, millionsOf } from '../../support/hostile/index.ts';

const bounds = { bytes: 16 << 20, depth: 64, values: 1 << 17 };
const read = (text: string | Buffer) => parseJson(Buffer.from(text), bounds);

describe('JSON from outside', () => {
  test.each<[string, string | Buffer, string]>([
    ['of too many bytes', Buffer.alloc((16 << 20) + 1, ' '), 'has 16777217 bytes; at most 16777216 are read'],
    ['of millions of numbers', millionsOf('0'), 'holds more than 131072 values'],
    ['of millions of objects', millionsOf('{}'), 'holds more than 131072 values'],
    ['of millions of names', millionsOf('"a":0', '{', '}'), 'holds more than 131072 values'],
    ['that nests without end', '['.repeat(10_000_000), 'nests more than 64 deep'],
    ['of minus signs alone', '-'.repeat(10_000_000), 'is not JSON'],
    ['of quotes alone', '"'.repeat(10_000_000), 'is not JSON'],
    ['of backslashes in a text', `"${'\\'.repeat(10_000_000)}`, 'is not JSON'],
    ['that is no UTF-8', Buffer.from('"\xfc"', 'latin1'), 'is not UTF-8'],
    ["of Python's words", '[NaN]', 'is not JSON'],
    ['that is empty', '', 'is not JSON'],
  ])('%s is refused within a second and in little memory', async (_, text, expected) => {
    const bytes = Buffer.from(text);
    const { seconds, mebibytes } = await costOf(() =>
      expect(() => parseJson(bytes, bounds)).toThrow(new Error(expected)),
    );
    expect(seconds).toBeLessThan(1);
    expect(mebibytes).toBeLessThan(128);
  });

  test('within its bounds is what it says, with a byte order mark, long names and texts of marks', () => {
    const value = { ['n'.repeat(5000)]: ['[,{"\\', -1e-3, null], '': {} };
    expect(read(`\ufeff${JSON.stringify(value)}`)).toEqual(value);
  });

  test('a page as large as its bounds lets it be, and all of it wrong, has one problem', async () => {
    const bytes = Buffer.from(`[${'0,'.repeat(listingBounds.values - 2)}0]`);
    const list = listOf(z.object({ path: z.string() }));
    const { seconds } = await costOf(() => {
      const { error } = list.safeParse(parseJson(bytes, listingBounds));
      expect(error?.issues.map(({ path }) => path)).toEqual([[0]]);
    });
    expect(seconds).toBeLessThan(1);
  });
});

describe('the first wrong entry', () => {
  const schema = z.object({ files: listOf(z.object({ path: z.string(), size: z.int().default(7) })) });

  test('of a list is the only problem, with its place', () => {
    const { error } = schema.safeParse({ files: [{ path: 'a' }, { path: 1 }, 0, 0] });
    expect(error?.issues).toMatchObject([{ path: ['files', 1, 'path'] }]);
  });

  test('of an object is the only problem, with its name', () => {
    const { error } = mapOf(z.string()).safeParse({ a: 'b', c: 1, d: 2 });
    expect(error?.issues).toMatchObject([{ path: ['c'] }]);
  });

  test('is looked for in what is read: right ones are as their schema makes them', () => {
    expect(schema.parse({ files: [{ path: 'a', more: 1 }] })).toEqual({ files: [{ path: 'a', size: 7 }] });
    expect(mapOf(z.string()).parse({ a: 'b' })).toEqual({ a: 'b' });
  });

  test('keeps what is said of the list from being asked of a half', () => {
    const asked: unknown[] = [];
    const list = listOf(z.string()).refine((entries) => asked.push(entries));
    expect(list.safeParse(['a', 1]).success).toBe(false);
    expect(list.safeParse('a').success).toBe(false);
    expect(asked).toEqual([]);
  });
});
