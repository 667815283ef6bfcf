// Decoders of ggml's quantised block types to float32.
import { halfTable } from './halves.ts';

/** How many elements a block of each of ggml's quantised types holds, and its bytes (ggml-common.h). */
export const quantisedBlocks = {
  Q4_0: { elements: 32, bytes: 18 },
  Q4_1: { elements: 32, bytes: 20 },
  Q5_0: { elements: 32, bytes: 22 },
  Q5_1: { elements: 32, bytes: 24 },
  Q8_0: { elements: 32, bytes: 34 },
  Q4_K: { elements: 256, bytes: 144 },
  Q5_K: { elements: 256, bytes: 176 },
  Q6_K: { elements: 256, bytes: 210 },
} as const;
export type QuantisedType = keyof typeof quantisedBlocks;

export const isQuantised = (dtype: string): dtype is QuantisedType => Object.hasOwn(quantisedBlocks, dtype);

/**
 * Decodes whole blocks. Every product is rounded to float32 before the next step, as ggml's arithmetic does.
 * @param into filled; its length is that of the blocks' elements
 */
export function decodeBlocks(bytes: Uint8Array, dtype: QuantisedType, into: Float32Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (dtype === 'Q8_0') decodeBytes(view, into);
  else if (dtype === 'Q6_K') decodeSixBits(view, bytes, into);
  else if (dtype === 'Q4_K' || dtype === 'Q5_K') decodeParts(view, bytes, dtype, into);
  else decodeNibbles(view, bytes, dtype, into);
}

/** d q, q a signed byte. */
function decodeBytes(view: DataView, into: Float32Array): void {
  for (let at = 0, out = 0; out < into.length; at += 34, out += 32) {
    const d = half(view, at);
    for (let i = 0; i < 32; i++) into[out + i] = d * view.getInt8(at + 2 + i);
  }
}

/** d q + m, or d (q - zero): q has four bits, the fifth of all 32 elements in a word before them. */
function decodeNibbles(
  view: DataView,
  bytes: Uint8Array,
  dtype: 'Q4_0' | 'Q4_1' | 'Q5_0' | 'Q5_1',
  into: Float32Array,
): void {
  const size = quantisedBlocks[dtype].bytes;
  const [least, five] = [dtype.endsWith('_1'), dtype.startsWith('Q5')];
  const wordAt = least ? 4 : 2;
  const lowAt = wordAt + (five ? 4 : 0);
  const zero = least ? 0 : five ? 16 : 8;
  for (let at = 0, out = 0; out < into.length; at += size, out += 32) {
    const d = half(view, at);
    const m = least ? half(view, at + 2) : -0; // x + -0 is x, also where x is -0
    const high = five ? view.getUint32(at + wordAt, true) : 0;
    for (let i = 0; i < 16; i++) {
      const pair = bytes[at + lowAt + i] as number;
      const first = (pair & 15) | (((high >>> i) & 1) << 4);
      const second = (pair >> 4) | (((high >>> (i + 16)) & 1) << 4);
      into[out + i] = Math.fround(d * (first - zero)) + m;
      into[out + i + 16] = Math.fround(d * (second - zero)) + m;
    }
  }
}

/** 8 parts of 32 elements, each with a scale and a least value of its own: scale q - least, q of four or five bits. */
function decodeParts(view: DataView, bytes: Uint8Array, dtype: 'Q4_K' | 'Q5_K', into: Float32Array): void {
  const size = quantisedBlocks[dtype].bytes;
  const five = dtype === 'Q5_K';
  const lowAt = five ? 48 : 16;
  const [scales, least] = [new Float32Array(8), new Float32Array(8)];
  for (let at = 0, out = 0; out < into.length; at += size, out += 256) {
    readParts(view, bytes, at, scales, least);
    for (let part = 0; part < 8; part += 2) {
      const low = at + lowAt + part * 16;
      const [scaleA, scaleB] = [scales[part] as number, scales[part + 1] as number];
      const [leastA, leastB] = [least[part] as number, least[part + 1] as number];
      for (let i = 0; i < 32; i++) {
        const pair = bytes[low + i] as number;
        const high = five ? (bytes[at + 16 + i] as number) >> part : 0;
        const place = out + part * 32 + i;
        into[place] = Math.fround(scaleA * ((pair & 15) | ((high & 1) << 4))) - leastA;
        into[place + 32] = Math.fround(scaleB * ((pair >> 4) | ((high & 2) << 3))) - leastB;
      }
    }
  }
}

/** Two float16, each times eight six-bit numbers that are packed into 12 bytes. */
function readParts(
  view: DataView,
  bytes: Uint8Array,
  at: number,
  scales: Float32Array,
  least: Float32Array,
): void {
  const [d, m] = [half(view, at), half(view, at + 2)];
  for (let i = 0; i < 4; i++) {
    const a = bytes[at + 4 + i] as number;
    const b = bytes[at + 8 + i] as number;
    const c = bytes[at + 12 + i] as number;
    scales[i] = d * (a & 63);
    least[i] = m * (b & 63);
    scales[i + 4] = d * ((c & 15) | ((a >> 6) << 4));
    least[i + 4] = m * ((c >> 4) | ((b >> 6) << 4));
  }
}

/** 16 parts of 16 elements: d scale (q - 32), scale a signed byte, q of four low and two high bits. */
function decodeSixBits(view: DataView, bytes: Uint8Array, into: Float32Array): void {
  for (let at = 0, out = 0; out < into.length; at += 210, out += 256) {
    const d = half(view, at + 208);
    // rows of 32 elements; four of them share 64 bytes of low bits and 32 of high bits
    for (let row = 0; row < 8; row++) {
      const [four, inFour] = [row >> 2, row & 3];
      const lowAt = at + four * 64 + (inFour & 1) * 32;
      const lowShift = inFour > 1 ? 4 : 0;
      const highAt = at + 128 + four * 32;
      for (let i = 0; i < 32; i++) {
        const low = ((bytes[lowAt + i] as number) >> lowShift) & 15;
        const high = ((bytes[highAt + i] as number) >> (inFour * 2)) & 3;
        const scale = Math.fround(d * view.getInt8(at + 192 + row * 2 + (i >> 4)));
        into[out + row * 32 + i] = scale * ((low | (high << 4)) - 32);
      }
    }
  }
}

const half = (view: DataView, at: number) => halfTable()[view.getUint16(at, true)] as number;
