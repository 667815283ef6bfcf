// Mutated files never crash, hang or take memory that they do not have: they open, or it is a BadModel that names the file.
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { OffsiteError } from '../../../src/api/index.ts';
import { encodeFloats, openCheckpoint, writeSafetensors } from '../../../src/checkpoint/index.ts';
import { gguf, text, uint32, uint64 } from '../../support/tiny/gguf.ts';
import { file } from '../../support/unit/checkpoint/files.ts';

function safetensorsBytes(): Uint8Array {
  const path = file('whole.safetensors', '');
  const tensor = (name: string, dtype: 'F32' | 'F16' | 'BF16', shape: number[]) => ({
    name,
    dtype,
    shape,
    bytes: () => encodeFloats(new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(0.5), dtype),
  });
  writeSafetensors(path, [tensor('a', 'F32', [3, 2]), tensor('b', 'F16', [4]), tensor('c', 'BF16', [2, 2])]);
  return readFileSync(path);
}

const ggufBytes = () =>
  gguf({
    pairs: [
      ['general.architecture', 8, text('llama')],
      ['general.alignment', 4, uint32(32)],
      ['tokens', 9, Buffer.concat([uint32(8), uint64(2n), text('a'), text('bc')])],
    ],
    tensors: [
      { name: 'a', dimensions: [32, 2], type: 2 },
      { name: 'b', dimensions: [4], type: 0, offset: 64 },
    ],
    data: new Uint8Array(80).fill(7),
  });

/** Bytes overwritten, cut out, put in, or 64-bit numbers made huge. */
const mutations = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('byte' as const), at: fc.nat(), value: fc.nat(255) }),
    fc.record({
      kind: fc.constant('number' as const),
      at: fc.nat(),
      value: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    }),
    fc.record({ kind: fc.constant('cut' as const), at: fc.nat(), value: fc.integer({ min: 1, max: 40 }) }),
    fc.record({
      kind: fc.constant('insert' as const),
      at: fc.nat(),
      value: fc.uint8Array({ minLength: 1, maxLength: 20 }),
    }),
    fc.record({ kind: fc.constant('end' as const), at: fc.nat(), value: fc.constant(0) }),
  ),
  { minLength: 1, maxLength: 4 },
);
type Mutation = typeof mutations extends fc.Arbitrary<(infer M)[]> ? M : never;

function mutate(original: Uint8Array, changes: readonly Mutation[]): Uint8Array {
  let bytes: Buffer = Buffer.from(original);
  for (const { kind, at, value } of changes) {
    const place = at % Math.max(1, bytes.length);
    if (kind === 'byte') bytes[place] = value;
    else if (kind === 'number' && bytes.length >= 8)
      bytes.writeBigUInt64LE(value, place % (bytes.length - 7));
    else if (kind === 'cut') bytes = Buffer.concat([bytes.subarray(0, place), bytes.subarray(place + value)]);
    else if (kind === 'insert')
      bytes = Buffer.concat([bytes.subarray(0, place), value, bytes.subarray(place)]);
    else if (kind === 'end') bytes = bytes.subarray(0, place);
  }
  return bytes;
}

test.each([
  ['fuzz.safetensors', safetensorsBytes],
  ['fuzz.gguf', ggufBytes],
] as const)('%s', (name, make) => {
  const original = make();
  const heap = process.memoryUsage();
  let opened = 0;
  fc.assert(
    fc.property(mutations, (changes) => {
      const bytes = mutate(original, changes);
      const path = file(name, bytes);
      try {
        const checkpoint = openCheckpoint(path);
        opened++;
        try {
          for (const [tensor, { shape }] of checkpoint.tensors) {
            expect(checkpoint.readBytes(tensor).length).toBeLessThanOrEqual(bytes.length);
            expect(checkpoint.read(tensor).length).toBe(shape.reduce((a, b) => a * b, 1));
          }
        } finally {
          checkpoint.close();
        }
      } catch (error) {
        if (!(error instanceof OffsiteError)) throw error;
        expect(error.reason).toBe('BadModel');
        expect(error.message).toContain(name);
      }
    }),
    { numRuns: Number(process.env['FUZZ_RUNS'] ?? 400), examples: [[[]]] },
  );
  // The file as it was is among them; 100 MB is far more than these files need and far less than a lying count asks for.
  expect(opened).toBeGreaterThan(0);
  const grown = process.memoryUsage();
  expect(grown.arrayBuffers + grown.heapTotal - heap.arrayBuffers - heap.heapTotal).toBeLessThan(100e6);
});
