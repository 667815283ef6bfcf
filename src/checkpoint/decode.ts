import type { DType } from './checkpoint.ts';

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
  Q4_0: { elements: 32, bytes: 18 },
  Q4_1: { elements: 32, bytes: 20 },
  Q8_0: { elements: 32, bytes: 34 },
};

/** Every float16 as float32, made on first use: 65,536 values. */
let halves: Float32Array | undefined;

/**
 * Decodes stored bytes to float32. Quantised blocks follow ggml: Q4_0 d (q-8), Q4_1 d q + m, Q8_0 d q.
 * @param bytes little-endian, whole blocks
 * @param into filled; its length is the number of elements
 */
export function decodeInto(bytes: Uint8Array, dtype: DType, into: Float32Array): void {
  const { buffer, byteOffset } = bytes;
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
    case 'Q4_0':
    case 'Q4_1':
    case 'Q8_0':
      decodeBlocks(new DataView(buffer, byteOffset, bytes.byteLength), bytes, dtype, into);
      return;
    default:
      throw new Error(`${dtype} is not a floating-point type`);
  }
}

function decodeBlocks(
  view: DataView,
  bytes: Uint8Array,
  dtype: 'Q4_0' | 'Q4_1' | 'Q8_0',
  into: Float32Array,
): void {
  const table = halfTable();
  const size = blocks[dtype].bytes;
  const header = dtype === 'Q4_1' ? 4 : 2;
  for (let at = 0, out = 0; out < into.length; at += size, out += 32) {
    const d = table[view.getUint16(at, true)] as number;
    if (dtype === 'Q8_0') {
      for (let i = 0; i < 32; i++) into[out + i] = d * view.getInt8(at + header + i);
      continue;
    }
    const m = dtype === 'Q4_1' ? (table[view.getUint16(at + 2, true)] as number) : 0;
    const zero = dtype === 'Q4_1' ? 0 : 8;
    for (let i = 0; i < 16; i++) {
      const pair = bytes[at + header + i] as number;
      // Rounded after the product, as float32 arithmetic does.
      into[out + i] = Math.fround(d * ((pair & 15) - zero)) + m;
      into[out + i + 16] = Math.fround(d * ((pair >> 4) - zero)) + m;
    }
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

function halfTable(): Float32Array {
  halves ??= Float32Array.from({ length: 65536 }, (_, half) => {
    const exponent = (half >> 10) & 31;
    const fraction = half & 1023;
    const sign = half & 0x8000 ? -1 : 1;
    if (exponent === 31) return fraction === 0 ? sign * Infinity : Number.NaN;
    return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  });
  return halves;
}

/** Typed arrays want aligned offsets: the same buffer where it is aligned, a copy where not. */
function aligned(bytes: Uint8Array, size: number): ArrayBufferLike {
  return bytes.byteOffset % size === 0 && size < 8 ? bytes.buffer : bytes.slice().buffer;
}

function alignedOffset(bytes: Uint8Array, size: number): number {
  return bytes.byteOffset % size === 0 ? bytes.byteOffset : 0;
}
