/// <reference lib="esnext.float16" />
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeFloats, encodeFloats } from '../../../src/checkpoint/index.ts';
import reference from '../../fixtures/quantised.json' with { type: 'json' };

const bits = (value: number) => new Uint32Array(Float32Array.of(value).buffer)[0]!;
const fromBits = (value: number) => new Float32Array(Uint32Array.of(value).buffer)[0]!;
const float32 = fc.integer({ min: 0, max: 2 ** 32 - 1 }).map(fromBits);

/** The bfloat16 nearest to a finite float32, of two equally near ones the even: found among its neighbours in float64. */
function nearestBfloat16(value: number): number {
  const below = bits(value) & 0xffff0000;
  const candidates = [fromBits(below >>> 0), fromBits((below + 0x10000) >>> 0)] as const;
  // Past the largest finite value the next step stands for 2^128.
  const places = candidates.map((c) => (Number.isFinite(c) ? c : Math.sign(value) * 2 ** 128));
  const [near, far] = places.map((place) => Math.abs(value - place)) as [number, number];
  if (near !== far) return near < far ? candidates[0] : candidates[1];
  return (below >>> 16) % 2 === 0 ? candidates[0] : candidates[1];
}

describe('encodeFloats and decodeFloats', () => {
  test('float16 is rounded as Float16Array rounds it', () => {
    fc.assert(
      fc.property(fc.array(float32, { minLength: 1 }), (values) => {
        const floats = Float32Array.from(values);
        const encoded = encodeFloats(floats, 'F16');
        const expected = Float16Array.from(values);
        expect([...decodeFloats(encoded, 'F16')]).toEqual([...expected]);
      }),
      { numRuns: 2000 },
    );
  });

  test('every float16 keeps its value, every NaN is one', () => {
    const all = Uint16Array.from({ length: 65536 }, (_, half) => half);
    const decoded = decodeFloats(new Uint8Array(all.buffer), 'F16');
    const expected = new Float16Array(all.buffer);
    expect(decoded).toHaveLength(all.length);
    expect(all.filter((half) => !Object.is(decoded[half], expected[half]))).toEqual(new Uint16Array());
    const again = decodeFloats(encodeFloats(decoded, 'F16'), 'F16');
    expect(again).toHaveLength(all.length);
    expect(all.filter((half) => !Object.is(again[half], decoded[half]))).toEqual(new Uint16Array());
  });

  test('bfloat16 is rounded to nearest, ties to even', () => {
    fc.assert(
      fc.property(float32, (value) => {
        const [rounded] = decodeFloats(encodeFloats(Float32Array.of(value), 'BF16'), 'BF16') as Float32Array;
        return Object.is(rounded, Number.isFinite(value) ? nearestBfloat16(value) : value);
      }),
      { numRuns: 5000 },
    );
    for (const [value, expected] of [
      [0x3f808000, 0x3f800000], // a tie, to the even below
      [0x3f818000, 0x3f820000], // a tie, to the even above
      [0x3f808001, 0x3f810000],
      [0x7f7fffff, 0x7f800000], // too large
      [0x00000001, 0x00000000],
    ] as const)
      expect(bits(decodeFloats(encodeFloats(Float32Array.of(fromBits(value)), 'BF16'), 'BF16')[0]!)).toBe(
        expected,
      );
  });

  test('float32 and float64 keep their values, at any offset', () => {
    const values = Float64Array.of(1.5, -(2 ** 70), Math.PI);
    const moved = new Uint8Array(25);
    moved.set(new Uint8Array(values.buffer), 1);
    expect([...decodeFloats(moved.subarray(1), 'F64')]).toEqual([1.5, -(2 ** 70), Math.fround(Math.PI)]);
    const singles = new Uint8Array(13);
    singles.set(encodeFloats(Float32Array.of(1, -0, 3), 'F32'), 1);
    expect([...decodeFloats(singles.subarray(1), 'F32')]).toEqual([1, -0, 3]);
  });
});

describe('quantised blocks', () => {
  const block = fc.record({
    scale: fc.float({ min: -8, max: 8, noNaN: true }),
    least: fc.float({ min: -8, max: 8, noNaN: true }),
    bytes: fc.uint8Array({ minLength: 32, maxLength: 32 }),
  });

  /** ggml's dequantize_row_q4_0, q4_1 and q8_0, element by element, in float32 arithmetic. */
  const formulas = {
    Q4_0: (d: number, _: number, bytes: Uint8Array, i: number) => Math.fround((nibble(bytes, i) - 8) * d),
    Q4_1: (d: number, m: number, bytes: Uint8Array, i: number) =>
      Math.fround(Math.fround(nibble(bytes, i) * d) + m),
    Q8_0: (d: number, _: number, bytes: Uint8Array, i: number) => Math.fround(((bytes[i]! << 24) >> 24) * d),
  };
  const nibble = (bytes: Uint8Array, i: number) => (i < 16 ? bytes[i]! & 15 : bytes[i - 16]! >> 4);

  test.each(['Q4_0', 'Q4_1', 'Q8_0'] as const)('%s', (type) => {
    fc.assert(
      fc.property(fc.array(block, { minLength: 1, maxLength: 4 }), (blocks) => {
        const encoded = blocks.map(({ scale, least, bytes }) => {
          const header = Float16Array.from(type === 'Q4_1' ? [scale, least] : [scale]);
          return Buffer.concat([new Uint8Array(header.buffer), type === 'Q8_0' ? bytes : bytes.subarray(16)]);
        });
        const expected = blocks.flatMap(({ scale, least, bytes }) =>
          Array.from({ length: 32 }, (_, i) =>
            formulas[type](
              Math.f16round(scale),
              Math.f16round(least),
              type === 'Q8_0' ? bytes : bytes.subarray(16),
              i,
            ),
          ),
        );
        expect([...decodeFloats(Buffer.concat(encoded), type)].map((x) => x + 0)).toEqual(
          expected.map((x) => x + 0),
        );
      }),
    );
  });

  test.each(Object.entries(reference))('%s as the gguf package decodes it', (type, { blocks, values }) => {
    const expected = decodeFloats(Buffer.from(values, 'base64'), 'F32');
    const decoded = decodeFloats(Buffer.from(blocks, 'base64'), type as keyof typeof reference);
    expect(decoded.length).toBe(768);
    expect(decoded).toEqual(expected);
  });
});
