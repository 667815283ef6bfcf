import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openCheckpoint } from '../../../src/checkpoint/index.ts';
import reference from '../../fixtures/quantised.json' with { type: 'json' };
import { type GgufParts, gguf, text, uint32, uint64 } from '../../support/tiny/gguf.ts';
import { badModelOf, file } from '../../support/unit/checkpoint/files.ts';

const open = (parts: GgufParts) => openCheckpoint(file('model.gguf', gguf(parts)));
const problem = (parts: GgufParts) => badModelOf(() => open(parts)).replace(/^.*model\.gguf: /, '');
const array = (type: number, ...values: Uint8Array[]) =>
  Buffer.concat([uint32(type), uint64(BigInt(values.length)), ...values]);
const floats = (...values: number[]) => new Uint8Array(Float32Array.from(values).buffer);

describe('a GGUF file', () => {
  test('gives metadata of every type, shapes in the hub order, and tensors where they lie', () => {
    const checkpoint = open({
      pairs: [
        ['u8', 0, Uint8Array.of(200)],
        ['i8', 1, Uint8Array.of(200)],
        ['u16', 2, Uint8Array.of(1, 2)],
        ['i16', 3, Uint8Array.of(255, 255)],
        ['u32', 4, uint32(7)],
        ['i32', 5, uint32(0xffffffff)],
        ['f32', 6, floats(1.5)],
        ['yes', 7, Uint8Array.of(1)],
        ['text', 8, text('\ufeffgrüße')],
        ['list', 9, array(8, text('a'), text('b'))],
        ['nested', 9, array(9, array(4, uint32(1)), array(4, uint32(2)))],
        ['u64', 10, uint64(2n ** 64n - 1n)],
        ['i64', 11, uint64(-1n)],
        ['f64', 12, new Uint8Array(Float64Array.of(Math.PI).buffer)],
        ['__proto__', 4, uint32(1)],
        ['general.alignment', 4, uint32(64)],
      ],
      tensors: [
        { name: 'b', dimensions: [2, 1], type: 0, offset: 64 },
        { name: 'a', dimensions: [3, 2], type: 0 },
      ],
      alignment: 64,
      data: Buffer.concat([floats(1, 2, 3, 4, 5, 6), new Uint8Array(40), floats(7, 8)]),
    });
    expect({ ...checkpoint.metadata }).toMatchObject({
      ...{ u8: 200, i8: -56, u16: 513, i16: -1, u32: 7, i32: -1, f32: 1.5, yes: true, text: '\ufeffgrüße' },
      ...{ list: ['a', 'b'], nested: [[1], [2]], u64: 2 ** 64, i64: -1, f64: Math.PI },
    });
    expect(Object.getPrototypeOf(checkpoint.metadata)).toBeNull();
    expect(checkpoint.tensors.get('a')?.shape).toEqual([2, 3]);
    expect(checkpoint.read('a', { rows: [1, 2] })).toEqual(Float32Array.of(4, 5, 6));
    expect(checkpoint.read('b')).toEqual(Float32Array.of(7, 8));
    checkpoint.close();
  });

  test('reads rows of quantised blocks', () => {
    const block = (scale: number, least: number) =>
      Buffer.concat([
        new Uint8Array(Float32Array.of(0).buffer).subarray(0, 0),
        half(scale),
        half(least),
        new Uint8Array(16).fill(0x21),
      ]);
    const checkpoint = open({
      tensors: [{ name: 'a', dimensions: [32, 2], type: 3 }],
      data: Buffer.concat([block(1, 0), block(2, 3)]),
    });
    const row = (scale: number, least: number) => [
      ...Array(16).fill(scale + least),
      ...Array(16).fill(2 * scale + least),
    ];
    expect([...checkpoint.read('a', { rows: [1, 2] })]).toEqual(row(2, 3));
    expect([...checkpoint.read('a')]).toEqual([...row(1, 0), ...row(2, 3)]);
    checkpoint.close();
  });

  test.each([
    ['Q5_0', 6],
    ['Q5_1', 7],
    ['Q8_0', 8],
    ['Q4_K', 12],
    ['Q5_K', 13],
    ['Q6_K', 14],
  ] as const)('reads %s by row', (name, type) => {
    const [data, values] = [reference[name].blocks, reference[name].values].map((part) =>
      Buffer.from(part, 'base64'),
    ) as [Buffer, Buffer];
    const checkpoint = open({ tensors: [{ name: 'a', dimensions: [256, 3], type }], data });
    expect(checkpoint.tensors.get('a')).toMatchObject({ dtype: name, shape: [3, 256] });
    const expected = new Float32Array(values.buffer.slice(values.byteOffset, values.byteOffset + 3072));
    expect(checkpoint.read('a')).toEqual(expected);
    expect(checkpoint.read('a', { rows: [1, 3] })).toEqual(expected.subarray(256));
    checkpoint.close();
  });

  test.each<[string, GgufParts | Uint8Array, RegExp | string]>([
    ['an empty file', new Uint8Array(), 'ends within its header'],
    ['another magic', Buffer.from('GGML and more that is long enough'), 'does not start with GGUF'],
    ['version 1', { version: 1 }, 'is GGUF version 1; 2 and 3 are supported'],
    ['big-endian version 3', { version: 0x03000000 }, 'is big-endian GGUF; little-endian is read'],
    ['big-endian version 2', { version: 0x02000000 }, 'is big-endian GGUF; little-endian is read'],
    [
      'a Git LFS pointer',
      Buffer.from('version https://git-lfs.github.com/spec/v1\noid sha256:00'),
      'is a Git LFS pointer',
    ],
    ...(
      [
        ['IQ2_XXS', 16],
        ['IQ3_XXS', 18],
        ['IQ1_S', 19],
        ['IQ4_NL', 20],
        ['IQ4_XS', 23],
        ['IQ1_M', 29],
        ['TQ1_0', 34],
        ['MXFP4', 39],
      ] as const
    ).map(([name, type]): [string, GgufParts, string] => [
      name,
      { tensors: [{ name: 'a', dimensions: [256], type }] },
      `tensor a is ${name}; F32, F16,`,
    ]),
    [
      'a name of 2 MB',
      { tensors: [{ name: 'n'.repeat(2_000_000), dimensions: [1], type: 0 }] },
      'its header claims 2000000 bytes of one text, more than 1024',
    ],
    [
      'a text of 20 MB',
      { pairs: [['a', 8, text('n'.repeat(20_000_000))]] },
      'its header claims 20000000 bytes of one text, more than 16777216',
    ],
    [
      'a million pairs',
      { pairCount: 1_000_000n, data: new Uint8Array(20_000_000) },
      'its header claims 1000000 key-value pairs, more than 65536',
    ],
    [
      'a million tensors',
      { tensorCount: 1_000_000n, data: new Uint8Array(30_000_000) },
      'its header claims 1000000 tensors, more than 262144',
    ],
    [
      'ten million values',
      { pairs: [['a', 9, Buffer.concat([uint32(0), uint64(10_000_000n), new Uint8Array(10_000_000)])]] },
      'its header claims 10000000 values in lists, more than 8388608',
    ],
    ['more tensors than bytes', { tensorCount: 2n ** 40n }, /a count of \d+/],
    ['more tensors than any number', { tensorCount: 2n ** 64n - 1n }, 'its header is damaged (a size of'],
    ['more pairs than bytes', { pairCount: 1000n }, 'a count of 1000'],
    [
      'a list longer than the file',
      { pairs: [['a', 9, Buffer.concat([uint32(4), uint64(2n ** 33n)])]] },
      'a count of 8589934592',
    ],
    ['a text longer than the file', { pairs: [['a', 8, uint64(10_000n)]] }, 'a count of 10000'],
    ['lists in lists without end', { pairs: [['a', 9, nested(100_000)]] }, 'arrays too deep'],
    ['a value of no type', { pairs: [['a', 99, uint32(0)]] }, 'a value of type 99'],
    [
      'an alignment of 0',
      { pairs: [['general.alignment', 4, uint32(0)]] },
      'general.alignment is no sensible number',
    ],
    [
      'an alignment in words',
      { pairs: [['general.alignment', 8, text('64')]] },
      'general.alignment is no sensible number',
    ],
    [
      'nine dimensions',
      { tensors: [{ name: 'a', dimensions: Array(9).fill(1), type: 0 }] },
      'claims 9 dimensions',
    ],
    [
      'a shape beyond all numbers',
      { tensors: [{ name: 'a', dimensions: [2n ** 40n, 2n ** 40n], type: 0 }] },
      'claims the shape',
    ],
    [
      'a type that is not supported',
      { tensors: [{ name: 'a', dimensions: [256], type: 11 }] },
      'tensor a is Q3_K; F32, F16,',
    ],
    [
      'a type that there is not',
      { tensors: [{ name: 'a', dimensions: [256], type: 77 }] },
      'tensor a is ggml type 77',
    ],
    [
      'a row of half a block',
      { tensors: [{ name: 'a', dimensions: [48], type: 2 }] },
      'rows of 48 elements are no whole Q4_0 blocks of 32',
    ],
    ['no dimensions', { tensors: [{ name: 'a', dimensions: [], type: 0 }] }, 'rows of undefined elements'],
    [
      'a truncated tensor',
      { tensors: [{ name: 'a', dimensions: [4], type: 0 }], data: floats(1) },
      /tensor a ends at byte \d+, the file at \d+/,
    ],
    [
      'an offset beyond the file',
      { tensors: [{ name: 'a', dimensions: [1], type: 0, offset: 2n ** 50n }], data: floats(1) },
      'tensor a ends at byte',
    ],
    [
      'a name that stands twice',
      {
        tensors: [
          { name: 'a', dimensions: [1], type: 0 },
          { name: 'a', dimensions: [1], type: 0, offset: 4 },
        ],
        data: floats(1, 2),
      },
      'tensor a stands there twice',
    ],
    [
      'overlapping tensors',
      {
        tensors: [
          { name: 'a', dimensions: [2], type: 0 },
          { name: 'b', dimensions: [1], type: 0, offset: 4 },
        ],
        data: floats(1, 2),
      },
      'tensors a and b overlap',
    ],
  ])('is refused with %s', (_, parts, expected) => {
    const said =
      parts instanceof Uint8Array
        ? badModelOf(() => openCheckpoint(file('model.gguf', parts)))
        : problem(parts);
    expect(said).toMatch(expected);
  });
});

describe('a GGUF model that was split', () => {
  const part = (number: number, count: number, name: string, value: number) =>
    gguf({
      pairs: [
        ['split.no', 2, Uint8Array.of(number, 0)],
        ['split.count', 2, Uint8Array.of(count, 0)],
        ['general.name', 8, text(`part ${number}`)],
      ],
      tensors: [{ name, dimensions: [1], type: 0 }],
      data: floats(value),
    });
  const parts = [part(0, 3, 'a', 1), part(1, 3, 'b', 2), part(2, 3, 'c', 3)];
  function directoryOf(files: readonly Uint8Array[]): string {
    const directory = dirname(file('README.md', ''));
    for (const [i, bytes] of files.entries()) writeFileSync(join(directory, `q8-${i}.gguf`), bytes);
    return directory;
  }

  test('is read whole, in whatever order its files lie', () => {
    const checkpoint = openCheckpoint(directoryOf([parts[2]!, parts[0]!, parts[1]!]));
    expect([...checkpoint.tensors.keys()].sort()).toEqual(['a', 'b', 'c']);
    expect(['a', 'b', 'c'].map((name) => checkpoint.read(name)[0])).toEqual([1, 2, 3]);
    expect(checkpoint.metadata['general.name']).toBe('part 0');
    checkpoint.close();
  });

  test.each<[string, Uint8Array[], string]>([
    ['a missing part', [parts[0]!, parts[2]!], 'part 2 of 3 of the split GGUF model is missing'],
    ['only its first part', [parts[0]!], 'part 2 of 3 of the split GGUF model is missing'],
    ['no first part', [parts[1]!, parts[2]!], 'part 1 of 3 of the split GGUF model is missing'],
    ['a part twice', [...parts, parts[1]!], 'is part 2 of 3, as another file is'],
    [
      'a part of another split',
      [...parts, part(3, 4, 'd', 4)],
      'belongs to a split of 4 parts, others to one of 3',
    ],
    ['a tensor in two parts', [parts[0]!, parts[1]!, part(2, 3, 'a', 3)], 'tensor a stands in two parts'],
    ['a whole model beside it', [...parts, gguf({})], 'holds 4 .gguf files; name one of them'],
    ['a part beyond its count', [parts[0]!, part(7, 2, 'b', 1)], 'belongs to a split of 2 parts'],
  ])('is refused with %s', (_, files, expected) => {
    expect(badModelOf(() => openCheckpoint(directoryOf(files)))).toContain(expected);
  });

  test('has bounds for all of its headers together, since each is kept', () => {
    const list = Buffer.concat([uint32(0), uint64(3n << 20n), Buffer.alloc(3 << 20)]);
    const long = (number: number) =>
      gguf({
        pairs: [
          ['split.no', 2, Uint8Array.of(number, 0)],
          ['split.count', 2, Uint8Array.of(3, 0)],
          ['tokenizer.ggml.scores', 9, list],
        ],
      });
    expect(badModelOf(() => openCheckpoint(directoryOf([0, 1, 2].map(long))))).toContain(
      'its header claims 3145728 values in lists, more than 2097152; it is damaged',
    );
  });

  test('is not read by one of its parts, whose digest would not be the model', () => {
    expect(badModelOf(() => openCheckpoint(join(directoryOf(parts), 'q8-1.gguf')))).toContain(
      'is part 2 of 3 of a split GGUF model; name the directory that holds all parts',
    );
  });
});

function half(value: 0 | 1 | 2 | 3 | number): Uint8Array {
  return Uint8Array.of(0, { 0: 0, 1: 0x3c, 2: 0x40, 3: 0x42 }[value] as number);
}

function nested(depth: number): Uint8Array {
  return Buffer.concat(Array.from({ length: depth }, () => Buffer.concat([uint32(9), uint64(1n)])));
}
