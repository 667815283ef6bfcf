// Element types as stored: their block sizes, decoding to float32 and encoding from it.
import type { DType } from './checkpoint.ts';
import { halfTable } from './halves.ts';
import { decodeBlocks, isQuantised, quantisedBlocks } from './quantised.ts';

/** How many elements a block of a type holds, and its bytes. */
export const blocks: Readonly<Record<DType, { elements: number; bytes: number }>> = {
  F64: { elements: 1, bytes: 8 },
  F32: { elements: 1, bytes: 4 },
  F16: { elements: 1, bytes: 2 },
  BF16: { elements: 1, bytes: 2 },
  I64: { elements: 1, bytes: 8 },
  I32: { elements: 1, bytes: 4 },
  I16: { elements: 1, bytes: 2 },
  I8: { elements: 1, bytes: 1 },
  U8: { elements: 1, bytes: 1 },
  BOOL: { elements: 1, bytes: 1 },
  U16: { elements: 1, bytes: 2 },
  U32: { elements: 1, bytes: 4 },
  U64: { elements: 1, bytes: 8 },
  C64: { elements: 1, bytes: 8 },
  F8_E4M3: { elements: 1, bytes: 1 },
  F8_E5M2: { elements: 1, bytes: 1 },
  F8_E4M3FNUZ: { elements: 1, bytes: 1 },
  F8_E5M2FNUZ: { elements: 1, bytes: 1 },
  F8_E8M0: { elements: 1, bytes: 1 },
  F6_E2M3: { elements: 4, bytes: 3 },
  F6_E3M2: { elements: 4, bytes: 3 },
  F4: { elements: 2, bytes: 1 },
  ...quantisedBlocks,
};

/** Whether a weight may have this type: what `decodeInto` knows. */
export const isReadable = (dtype: DType): boolean => /^(F64|F32|F16|BF16)$/.test(dtype) || isQuantised(dtype);

/**
 * Decodes stored bytes to float32.
 * @param bytes little-endian, whole blocks
 * @param into filled; its length is the number of elements
 */
export function decodeInto(bytes: Uint8Array, dtype: DType, into: Float32Array): void {
  const n = into.length;
  switch (dtype) {
    case 'F32':
      new Uint8Array(into.buffer, into.byteOffset, into.byteLength).set(bytes);
      return;
    case 'F64':
      into.set(new Float64Array(aligned(bytes, 8), 0, n));
      return;
    case 'F16': {
      const table = halfTable();
      const source = new Uint16Array(aligned(bytes, 2), alignedOffset(bytes, 2), n);
      for (let i = 0; i < n; i++) into[i] = table[source[i] as number] as number;
      return;
    }
    case 'BF16': {
      const source = new Uint16Array(aligned(bytes, 2), alignedOffset(bytes, 2), n);
      const bits = new Uint32Array(into.buffer, into.byteOffset, n);
      for (let i = 0; i < n; i++) bits[i] = (source[i] as number) << 16;
      return;
    }
    default:
      if (!isQuantised(dtype)) throw new Error(`${dtype} is not a floating-point type`);
      decodeBlocks(bytes, dtype, into);
  }
}

/** Encodes float32 to a stored type, rounding to nearest, ties to even; overflow becomes infinity. */
export function encodeFloats(values: Float32Array, dtype: 'F32' | 'F16' | 'BF16'): Uint8Array {
  if (dtype === 'F32') return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const encoded = new Uint16Array(values.length);
  const encode = dtype === 'BF16' ? toBfloat16 : toFloat16;
  for (let i = 0; i < bits.length; i++) encoded[i] = encode(bits[i] as number);
  return new Uint8Array(encoded.buffer);
}

/** Decodes a whole byte array. */
export function decodeFloats(bytes: Uint8Array, dtype: DType): Float32Array {
  const { elements, bytes: size } = blocks[dtype];
  const values = new Float32Array((bytes.byteLength / size) * elements);
  decodeInto(bytes, dtype, values);
  return values;
}

function toBfloat16(bits: number): number {
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40;
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

function toFloat16(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x47800000) return sign | 0x7c00;
  if (magnitude < 0x38800000) {
    // Subnormal: units of 2^-24, rounded to even by adding a number whose unit in the last place is 2^-24.
    rounding.float[0] = 0.5 + bitsToFloat(magnitude);
    return sign | ((rounding.bits[0] as number) - 0x3f000000);
  }
  const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
  return sign | ((rounded - 0x38000000) >>> 13);
}

const rounding = (() => {
  const float = new Float32Array(1);
  return { float, bits: new Uint32Array(float.buffer) };
})();

function bitsToFloat(bits: number): number {
  rounding.bits[0] = bits;
  return rounding.float[0] as number;
}

/** Typed arrays want aligned offsets: the same buffer where it is aligned, a copy where not. */
function aligned(bytes: Uint8Array, size: number): ArrayBufferLike {
  return bytes.byteOffset % size === 0 && size < 8 ? bytes.buffer : bytes.slice().buffer;
}

function alignedOffset(bytes: Uint8Array, size: number): number {
  return bytes.byteOffset % size === 0 ? bytes.byteOffset : 0;
}
