import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeFloats, openCheckpoint, writeSafetensors } from '../../../src/checkpoint/index.ts';
import { badModelOf, file, safetensors } from './files.ts';

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
      'a fraction of an offset',
      safetensors({ a: entry([1], 0.5, 4.5) }, 8),
      'tensor a: its header entry needs',
    ],
    [
      'an unknown dtype',
      safetensors({ a: entry([4], 0, 4, 'F8_E4M3') }, 4),
      'dtype F8_E4M3 is not supported',
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
      'tensor a is I64; a weight must be a floating-point type',
    );
    expect(badModelOf(() => checkpoint.read('b'))).toContain('has no tensor b');
    checkpoint.close();
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
    ['no JSON', '{', 'is not JSON with a weight_map'],
    ['no weight map', {}, 'is not JSON with a weight_map'],
    ['a shard outside', { weight_map: { a: '../1.safetensors' } }, 'lies outside the directory'],
    [
      'a shard that is not there',
      { weight_map: { a: '2.safetensors' } },
      '2.safetensors: cannot be opened (ENOENT)',
    ],
    ['a shard that is a directory', { weight_map: { a: '.' } }, 'is not a file'],
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
