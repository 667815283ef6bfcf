import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeFloats, openCheckpoint, writeSafetensors } from '../../../src/checkpoint/index.ts';
import { badModelOf, file, safetensors } from '../../support/unit/checkpoint/files.ts';

const entry = (shape: number[], from: number, to: number, dtype = 'F32') => ({
  dtype,
  shape,
  data_offsets: [from, to],
});
const open = (bytes: Uint8Array) => openCheckpoint(file('model.safetensors', bytes));
const problem = (bytes: Uint8Array) => badModelOf(() => open(bytes)).replace(/^.*model\.safetensors: /, '');

describe('what is written is read', () => {
  const dtypes = fc.constantFrom('F32' as const, 'F16' as const, 'BF16' as const);
  const tensor = fc.record({
    name: fc.string({ minLength: 1, maxLength: 20 }).filter((name) => name !== '__metadata__'),
    dtype: dtypes,
    shape: fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 3 }),
  });

  test('any names, shapes and dtypes; whole, by rows, and as bytes', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(tensor, { selector: ({ name }) => name, maxLength: 6 }),
        fc.integer(),
        (tensors, seed) => {
          const filled = tensors.map((spec, t) => {
            const size = spec.shape.reduce((a, b) => a * b, 1);
            const values = Float32Array.from({ length: size }, (_, i) => ((seed + t * 31 + i * 7) % 97) / 8);
            return { ...spec, values, bytes: () => encodeFloats(values, spec.dtype) };
          });
          const path = file('model.safetensors', '');
          writeSafetensors(path, filled, { made: 'here' });
          const checkpoint = openCheckpoint(path);
          try {
            expect([...checkpoint.tensors.keys()].sort()).toEqual(tensors.map(({ name }) => name).sort());
            expect(checkpoint.metadata).toEqual({ made: 'here' });
            for (const { name, dtype, shape, values } of filled) {
              expect(checkpoint.tensors.get(name)).toMatchObject({ dtype, shape });
              expect(checkpoint.read(name)).toEqual(values);
              expect(checkpoint.readBytes(name)).toEqual(new Uint8Array(encodeFloats(values, dtype)));
              const rows = shape[0] ?? 1;
              const width = rows === 0 ? 0 : values.length / rows;
              const into = new Float32Array(Math.floor(rows / 2) * width);
              checkpoint.read(name, { rows: [0, Math.floor(rows / 2)], into });
              expect(into).toEqual(values.slice(0, into.length));
            }
          } finally {
            checkpoint.close();
          }
        },
      ),
      { numRuns: 40, examples: [[[{ name: '__proto__', dtype: 'F32', shape: [] }], 0]] },
    );
  });

  test('a tensor that takes several pieces to decode', () => {
    const values = Float32Array.from({ length: 3_000_000 }, (_, i) => (i % 251) - 125);
    const path = file('model.safetensors', '');
    const bytes = () => encodeFloats(values, 'BF16');
    writeSafetensors(path, [{ name: 'w', dtype: 'BF16', shape: [3000, 1000], bytes }]);
    const checkpoint = openCheckpoint(path);
    expect(Buffer.compare(Buffer.from(checkpoint.read('w').buffer), Buffer.from(values.buffer))).toBe(0);
    expect(checkpoint.read('w', { rows: [2998, 3000] })).toEqual(values.slice(-2000));
    expect(badModelOf(() => checkpoint.read('w', { rows: [2999, 3001] }))).toContain('has 3000 rows');
    checkpoint.close();
  });

  test('nothing stays when a tensor cannot be made', () => {
    const path = file('model.safetensors', 'the earlier file');
    const failing = { name: 'b', dtype: 'F32' as const, shape: [2], bytes: () => new Uint8Array(4) };
    const right = { name: 'a', dtype: 'F32' as const, shape: [1], bytes: () => new Uint8Array(4) };
    expect(() => writeSafetensors(path, [right, failing])).toThrow('tensor b: 4 bytes do not make [2] F32');
    expect(readFileSync(path, 'utf8')).toBe('the earlier file');
    expect(() => readFileSync(`${path}.tmp`)).toThrow('ENOENT');
  });
});

describe('a damaged file is refused by name', () => {
  test.each<[string, Uint8Array, RegExp | string]>([
    ['an empty file', new Uint8Array(), 'is 0 bytes long'],
    [
      'a header larger than the file',
      safetensors('{}', 0, 1000n),
      /claims 1000 bytes, the file has 10; it is truncated/,
    ],
    ['a header of 2^63 bytes', safetensors('{}', 0, 1n << 63n), 'its header claims'],
    ['a header that is no JSON', safetensors('{"a":', 0), 'its header is not JSON'],
    ['a header that is no UTF-8', safetensors('"\ud800"', 0), /header is not (JSON|a JSON object)/],
    ['a header that is a list', safetensors([], 0), 'its header is not a JSON object'],
    ['metadata that is a number', safetensors({ __metadata__: 5 }, 0), '__metadata__ in its header'],
    ['an entry without a shape', safetensors({ a: { dtype: 'F32' } }, 0), 'tensor a: its header entry needs'],
    ['a negative size', safetensors({ a: entry([-1], 0, 4) }, 4), 'tensor a: its header entry needs'],
    [
      'a shape of a million sizes',
      safetensors({ a: entry(Array<number>(1_000_000).fill(1), 0, 4) }, 4),
      'tensor a: its header entry needs dtype, shape (of at most 64 sizes) and data_offsets',
    ],
    [
      'a shape of a million texts',
      safetensors({ a: { ...entry([], 0, 4), shape: Array<string>(1_000_000).fill('1') } }, 4),
      'tensor a: its header entry needs dtype, shape (of at most 64 sizes) and data_offsets',
    ],
    [
      'a fraction of an offset',
      safetensors({ a: entry([1], 0.5, 4.5) }, 8),
      'tensor a: its header entry needs',
    ],
    [
      'an unknown dtype',
      safetensors({ a: entry([4], 0, 4, 'F9') }, 4),
      'tensor a: its dtype is none that safetensors has',
    ],
    [
      'offsets that do not fit the shape',
      safetensors({ a: entry([2], 0, 4) }, 4),
      '[2] F32 takes 8 bytes, its offsets span 4',
    ],
    [
      'a shape beyond all numbers',
      safetensors({ a: entry([2 ** 40, 2 ** 40], 0, 4) }, 4),
      'its offsets span 4',
    ],
    [
      'a truncated tensor',
      safetensors({ a: entry([2], 0, 8) }, 4),
      /tensor a ends at byte \d+, the file at \d+; it is truncated/,
    ],
    [
      'overlapping tensors',
      safetensors({ a: entry([2], 0, 8), b: entry([2], 4, 12) }, 12),
      'tensors a and b overlap',
    ],
    [
      'a hole',
      safetensors({ a: entry([1], 0, 4), b: entry([1], 8, 12) }, 12),
      '4 bytes between a and tensor b belong to no tensor',
    ],
    [
      'bytes behind the last tensor',
      safetensors({ a: entry([1], 0, 4) }, 8),
      '4 bytes after a belong to no tensor',
    ],
    [
      'a name that stands twice',
      safetensors(
        '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"\\u0061":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
        4,
      ),
      'tensor a stands twice in its header',
    ],
  ])('%s', (_, bytes, expected) => {
    expect(problem(bytes)).toMatch(expected);
  });

  test('a tensor of whole numbers is no weight; a name in the metadata and as a value is no repetition', () => {
    const checkpoint = open(safetensors({ __metadata__: { a: 'a:' }, a: entry([1], 0, 8, 'I64') }, 8));
    expect(badModelOf(() => checkpoint.read('a'))).toContain(
      'tensor a is I64; a weight must be F32, F16, BF16 or F64',
    );
    expect(badModelOf(() => checkpoint.read('b'))).toContain('has no tensor b');
    checkpoint.close();
  });

  test.each<[string, string]>([
    ['F8_E4M3', 'a'],
    ['F8_E5M2', 'b'],
    ['U16', 'cd'],
    ['BOOL', 'x'],
    ['F4', '12'],
    ['F6_E2M3', '123'],
  ])('a tensor of %s beside the weights is kept, and is no weight', (dtype, data) => {
    const elements = { U16: 1, F4: 4, F6_E2M3: 4 }[dtype] ?? 1;
    const checkpoint = open(
      safetensors({ a: entry([elements], 0, data.length, dtype) }, new TextEncoder().encode(data)),
    );
    expect(new TextDecoder().decode(checkpoint.readBytes('a'))).toBe(data);
    expect(badModelOf(() => checkpoint.read('a'))).toContain(
      `tensor a is ${dtype}; a weight must be F32, F16, BF16 or F64`,
    );
    checkpoint.close();
  });

  test.each<[string, Uint8Array | string, string]>([
    [
      'a Git LFS pointer',
      'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n',
      'is a Git LFS pointer, not the file itself; fetch the files with git lfs pull',
    ],
    ['gzip', gzipSync(Buffer.alloc(100)), 'is compressed with gzip; unpack it'],
    ['zstd', zstdCompressSync(Buffer.alloc(100)), 'is compressed with zstd; unpack it'],
    ['a zip archive', 'PK\x03\x04 and more', "is a zip archive (PyTorch's .bin and .pt files are such too)"],
    ['GGUF', 'GGUF and more of it', 'is a GGUF file; its name must end in .gguf'],
    ['an answer of a server', '<!DOCTYPE html><html>', 'is an HTML page'],
  ])('%s is named as such', (_, bytes, expected) => {
    const content = typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes;
    expect(problem(content)).toContain(expected);
  });

  test.each<[string, () => string, string]>([
    ['a name of 20 MB', () => `{"${'n'.repeat(20_000_000)}":{}}`, 'its header has a name of 20000000 bytes'],
    ['300,001 tensors', () => `{${'"a":{},'.repeat(300_000)}"b":{}}`, 'names 300001 tensors, more than'],
    ['lists without end', () => `{"a":${'['.repeat(5_000_000)}`, 'its header nests more than 3 deep'],
    ['five million values', () => `{"a":[${'0,'.repeat(5_000_000)}0]}`, 'holds more than 4194304 values'],
    [
      'a shape of four million texts',
      () => `{"a":{"dtype":"F32","shape":[${'"",'.repeat(4_000_000)}0],"data_offsets":[0,0]}}`,
      'tensor a: its header entry needs dtype, shape (of at most 64 sizes) and data_offsets',
    ],
    ['a text without end', () => `{"${'\\\\'.repeat(2_000_000)}`, 'its header'],
  ])('%s costs neither time nor memory', (_, header, expected) => {
    const path = file('model.safetensors', safetensors(header(), 0));
    const before = process.memoryUsage();
    const started = performance.now();
    expect(badModelOf(() => openCheckpoint(path))).toContain(expected);
    const { heapUsed } = process.memoryUsage();
    expect(heapUsed - before.heapUsed).toBeLessThan(300e6);
    expect(performance.now() - started).toBeLessThan(20_000);
  });

  test('what is no file: a directory, a named pipe, nothing', () => {
    const path = file('other.bin', '');
    expect(badModelOf(() => openCheckpoint(path))).toContain('is neither .safetensors nor .gguf');
    expect(badModelOf(() => openCheckpoint(`${path}.none`))).toContain('there is no such file or directory');
    const directory = join(dirname(path), 'pipes');
    mkdirSync(directory);
    expect(badModelOf(() => openCheckpoint(directory))).toContain('holds no model.safetensors');
    execFileSync('mkfifo', [join(directory, 'model.safetensors')]);
    expect(badModelOf(() => openCheckpoint(directory))).toContain('model.safetensors: is not a file');
  });
});

describe('weights of another format', () => {
  const directoryWith = (...names: string[]) => {
    const directory = dirname(file('config.json', '{}'));
    for (const name of names) writeFileSync(join(directory, name), '');
    return directory;
  };

  test.each([
    'pytorch_model.bin',
    'pytorch_model-00001-of-00002.bin',
    'pytorch_model.bin.index.json',
    'consolidated.00.pth',
    'tf_model.h5',
  ])('%s is named, with the command that converts it', (name) => {
    const directory = directoryWith(name);
    const said = badModelOf(() => openCheckpoint(directory));
    expect(said).toContain(`${directory}: holds no model.safetensors`);
    expect(said).toContain(`${name} holds weights in a format whose reading may run code: convert them with`);
    expect(said).toMatch(/save_pretrained\(b\)' \S+ NEW_DIRECTORY$/);
  });

  test('shards without their index are named', () => {
    const directory = directoryWith('model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors');
    expect(badModelOf(() => openCheckpoint(directory))).toContain(
      'holds 2 .safetensors files, and no model.safetensors.index.json',
    );
  });
});

describe('sharded checkpoints', () => {
  function sharded(index: unknown, shards: Record<string, Uint8Array>): string {
    const directory = join(dirname(file('x', '')), `sharded-${Math.random()}`);
    mkdirSync(directory);
    writeFileSync(
      join(directory, 'model.safetensors.index.json'),
      typeof index === 'string' ? index : JSON.stringify(index),
    );
    for (const [name, bytes] of Object.entries(shards)) writeFileSync(join(directory, name), bytes);
    return directory;
  }
  const one = (name: string, value: number) =>
    safetensors({ [name]: entry([1], 0, 4) }, new Uint8Array(Float32Array.of(value).buffer));

  const [first, second] = ['1.safetensors', '2.safetensors'];

  test('a tensor in two shards is named: the index speaks of one', () => {
    const both = safetensors(
      { a: entry([1], 0, 4), b: entry([1], 4, 8) },
      new Uint8Array(Float32Array.of(3, 2).buffer),
    );
    const directory = sharded(
      { weight_map: { a: first, b: second } },
      { [first]: one('a', 1), [second]: both },
    );
    expect(badModelOf(() => openCheckpoint(directory))).toContain(
      `tensor a lies in ${first} and in ${second}`,
    );
  });

  test('what the index leaves out of a shard is there', () => {
    const both = safetensors(
      { a: entry([1], 0, 4), b: entry([1], 4, 8) },
      new Uint8Array(Float32Array.of(3, 2).buffer),
    );
    const checkpoint = openCheckpoint(sharded({ weight_map: { a: first } }, { [first]: both }));
    expect([...checkpoint.tensors.keys()]).toEqual(['a', 'b']);
    checkpoint.close();
  });

  test('a tensor comes from the shard that the index names', () => {
    const map = { a: '1.safetensors', b: '2.safetensors' };
    const checkpoint = openCheckpoint(
      sharded(
        { metadata: {}, weight_map: map },
        { '1.safetensors': one('a', 1), '2.safetensors': one('b', 2) },
      ),
    );
    expect(checkpoint.read('a')).toEqual(Float32Array.of(1));
    expect(checkpoint.read('b')).toEqual(Float32Array.of(2));
    expect(badModelOf(() => checkpoint.read('c'))).toContain('has no tensor c');
    checkpoint.close();
  });

  test.each<[string, unknown, RegExp | string]>([
    ['no JSON', '{', 'index.json: is not JSON'],
    ['no weight map', {}, 'is not JSON with a weight_map'],
    ['a shard outside', { weight_map: { a: '../1.safetensors' } }, 'lies outside the directory'],
    [
      'a shard that is not there',
      { weight_map: { a: '2.safetensors' } },
      'index.json: shard 2.safetensors is not there; 1 of 1 are missing',
    ],
    [
      'two of three shards that are not there',
      { weight_map: { a: '1.safetensors', b: '2.safetensors', c: '3.safetensors' } },
      'shard 2.safetensors is not there; 2 of 3 are missing',
    ],
    ['a shard that is a directory', { weight_map: { a: '.' } }, 'lies outside the directory, or is no'],
    ['a shard that is no safetensors', { weight_map: { a: 'a.bin' } }, 'or is no .safetensors file'],
    [
      'more shards than any model',
      { weight_map: Object.fromEntries(Array.from({ length: 1025 }, (_, i) => [i, `${i}.safetensors`])) },
      'names 1025 shards; at most 1024 are read',
    ],
    [
      'a shard without the tensor',
      { weight_map: { b: '1.safetensors' } },
      'says that 1.safetensors holds b, but it does not',
    ],
  ])('refuses an index with %s', (_, index, expected) => {
    const directory = sharded(index, { '1.safetensors': one('a', 1) });
    expect(badModelOf(() => openCheckpoint(directory))).toMatch(expected);
  });
});
