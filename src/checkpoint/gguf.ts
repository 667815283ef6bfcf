// The reader of GGUF files: metadata and tensor table, checked before memory is taken for them.
import { badModel } from '../api/index.ts';
import type { Files } from '../artifact/index.ts';
import type { DType } from './checkpoint.ts';
import { blocks } from './decode.ts';
import { FileCheckpoint, type Located, longestName, mostTensors, RandomAccessFile } from './file.ts';
import { foreignKind, kindBytes } from './foreign.ts';

/** ggml's type numbers of the tensors that are supported (ggml.h, enum ggml_type). */
const tensorTypes: Readonly<Record<number, DType>> = {
  0: 'F32',
  1: 'F16',
  2: 'Q4_0',
  3: 'Q4_1',
  6: 'Q5_0',
  7: 'Q5_1',
  8: 'Q8_0',
  12: 'Q4_K',
  13: 'Q5_K',
  14: 'Q6_K',
  24: 'I8',
  25: 'I16',
  26: 'I32',
  27: 'I64',
  28: 'F64',
  30: 'BF16',
};
/** Names of those that are not, for the error. */
const unsupportedTypes: Readonly<Record<number, string>> = {
  9: 'Q8_1',
  10: 'Q2_K',
  11: 'Q3_K',
  15: 'Q8_K',
  16: 'IQ2_XXS',
  17: 'IQ2_XS',
  18: 'IQ3_XXS',
  19: 'IQ1_S',
  20: 'IQ4_NL',
  21: 'IQ3_S',
  22: 'IQ2_S',
  23: 'IQ4_XS',
  29: 'IQ1_M',
  34: 'TQ1_0',
  35: 'TQ2_0',
  39: 'MXFP4',
};

/** More than any model has, in all its files: about fifty pairs, tokens and merges of half a million each, and a chat template. */
const mostPairs = 1 << 16;
const mostValues = 1 << 23;
const longestText = 16 << 20;
// A byte order mark is a character: vocabularies have tokens that begin with it.
const utf8 = new TextDecoder('utf-8', { ignoreBOM: true });
const largestHeader = 1 << 28;
const byteSwapped = (version: number) => version === 0x02000000 || version === 0x03000000;

/** Arrays of arrays are allowed, but no metadata nests them deeper. */
const deepest = 4;
/** The fewest bytes that a key-value pair and a tensor's entry take: a lying count is found before memory is taken. */
const leastPair = 8 + 4 + 1;
const leastEntry = 8 + 4 + 4 + 8;

/** What the headers of a model's files may still come to, all together. */
export class HeaderRoom {
  pairs = mostPairs;
  /** In lists, of all pairs. */
  values = mostValues;
  tensors = mostTensors;
  bytes = largestHeader;
}

/**
 * Opens a GGUF file (version 2 or 3, little-endian). Shapes are given in the hub's order, the slowest dimension first.
 * @throws OffsiteError BadModel naming the file and, where it is one tensor's fault, the tensor
 */
export function openGguf(path: string, files?: Files, room = new HeaderRoom()): FileCheckpoint {
  const file = new RandomAccessFile(path, files);
  try {
    const reader = new HeaderReader(file, room);
    if (reader.uint32() !== 0x46554747)
      throw badModel(
        `${path}: ${foreignKind(file.read(0, Math.min(file.size, kindBytes))) ?? 'does not start with GGUF'}`,
      );
    const version = reader.uint32();
    if (byteSwapped(version))
      throw badModel(
        `${path}: is big-endian GGUF; little-endian is read: convert it with gguf_convert_endian.py`,
      );
    if (version !== 2 && version !== 3)
      throw badModel(`${path}: is GGUF version ${version}; 2 and 3 are supported`);
    const tensorCount = reader.count(leastEntry, room.tensors, 'tensors');
    room.tensors -= tensorCount;
    const pairs = reader.count(leastPair, room.pairs, 'key-value pairs');
    room.pairs -= pairs;
    const metadata: Record<string, unknown> = Object.create(null);
    for (let i = 0; i < pairs; i++) {
      const key = reader.string(longestName);
      metadata[key] = reader.value(reader.uint32());
    }
    const alignment = metadata['general.alignment'] ?? 32;
    if (typeof alignment !== 'number' || !Number.isInteger(alignment) || alignment < 1 || alignment > 1 << 20)
      throw badModel(`${path}: general.alignment is no sensible number of bytes; the header is damaged`);
    const entries = Array.from({ length: tensorCount }, () => readEntry(reader, path));
    room.bytes -= reader.position;
    const start = Math.ceil(reader.position / alignment) * alignment;
    const tensors = new Map<string, Located>();
    for (const entry of entries) {
      if (tensors.has(entry.name)) throw badModel(`${path}: tensor ${entry.name} stands there twice`);
      const end = start + entry.offset + entry.bytes;
      if (end > file.size) {
        throw badModel(
          `${path}: tensor ${entry.name} ends at byte ${end}, the file at ${file.size}; it is truncated`,
        );
      }
      tensors.set(entry.name, { ...entry, offset: start + entry.offset });
    }
    checkNoOverlap(path, [...tensors.values()]);
    return new FileCheckpoint(file, tensors, metadata);
  } catch (error) {
    file.close();
    throw error;
  }
}

function checkNoOverlap(path: string, tensors: Located[]): void {
  tensors.sort((a, b) => a.offset - b.offset || a.bytes - b.bytes);
  for (const [i, { name, offset }] of tensors.entries()) {
    const before = tensors[i - 1];
    if (before !== undefined && before.offset + before.bytes > offset)
      throw badModel(`${path}: tensors ${before.name} and ${name} overlap; the header is damaged`);
  }
}

function readEntry(reader: HeaderReader, path: string): Located {
  const name = reader.string(longestName);
  const rank = reader.uint32();
  if (rank > 8) throw badModel(`${path}: tensor ${name} claims ${rank} dimensions; the header is damaged`);
  const shape = Array.from({ length: rank }, () => reader.size()).reverse();
  const type = reader.uint32();
  const dtype = tensorTypes[type];
  if (dtype === undefined) {
    const known = unsupportedTypes[type] ?? `ggml type ${type}`;
    throw badModel(
      `${path}: tensor ${name} is ${known}; ${Object.values(tensorTypes).join(', ')} are supported`,
    );
  }
  const elements = shape.reduce((a, b) => a * b, 1);
  if (!Number.isSafeInteger(elements))
    throw badModel(`${path}: tensor ${name} claims the shape [${shape}]; the header is damaged`);
  const { elements: per, bytes } = blocks[dtype];
  if (shape.at(-1) === undefined || (shape.at(-1) as number) % per !== 0) {
    throw badModel(
      `${path}: tensor ${name}: rows of ${shape.at(-1)} elements are no whole ${dtype} blocks of ${per}`,
    );
  }
  return { name, dtype, shape, offset: reader.size(), bytes: (elements / per) * bytes };
}

/** Reads a GGUF header from its start, in pieces, never past the end of the file. */
class HeaderReader {
  position = 0;
  readonly #file: RandomAccessFile;
  #window: Uint8Array = new Uint8Array(0);
  #start = 0;
  readonly #room: HeaderRoom;

  constructor(file: RandomAccessFile, room: HeaderRoom) {
    this.#file = file;
    this.#room = room;
  }

  uint32(): number {
    return this.#view(4).getUint32(0, true);
  }

  /** A 64-bit size that must be a safe integer. */
  size(): number {
    const value = this.#view(8).getBigUint64(0, true);
    if (value > BigInt(Number.MAX_SAFE_INTEGER))
      throw badModel(`${this.#file.path}: its header is damaged (a size of ${value})`);
    return Number(value);
  }

  /** How many things follow, each of at least `least` bytes. */
  count(least: number, most: number, what: string): number {
    const value = this.size();
    if (value * least > this.#file.size - this.position)
      throw badModel(
        `${this.#file.path}: ends within its header (a count of ${value}); the file is truncated or damaged`,
      );
    if (value > most)
      throw badModel(
        `${this.#file.path}: its header claims ${value} ${what}, more than ${most}; it is damaged`,
      );
    return value;
  }

  string(longest = longestText): string {
    const length = this.count(1, longest, 'bytes of one text');
    const view = this.#view(length);
    return utf8.decode(new Uint8Array(view.buffer, view.byteOffset, length));
  }

  /** A metadata value of one of GGUF's types; 64-bit whole numbers beyond 2^53 lose their last digits. */
  value(type: number, depth = 0): unknown {
    switch (type) {
      case 0:
        return this.#view(1).getUint8(0);
      case 1:
        return this.#view(1).getInt8(0);
      case 2:
        return this.#view(2).getUint16(0, true);
      case 3:
        return this.#view(2).getInt16(0, true);
      case 4:
        return this.uint32();
      case 5:
        return this.#view(4).getInt32(0, true);
      case 6:
        return this.#view(4).getFloat32(0, true);
      case 7:
        return this.#view(1).getUint8(0) !== 0;
      case 8:
        return this.string();
      case 9: {
        const element = this.uint32();
        if (depth === deepest) throw badModel(`${this.#file.path}: its header is damaged (arrays too deep)`);
        const count = this.count(1, this.#room.values, 'values in lists');
        this.#room.values -= count;
        const values: unknown[] = [];
        for (let i = 0; i < count; i++) values.push(this.value(element, depth + 1));
        return values;
      }
      case 10:
        return Number(this.#view(8).getBigUint64(0, true));
      case 11:
        return Number(this.#view(8).getBigInt64(0, true));
      case 12:
        return this.#view(8).getFloat64(0, true);
      default:
        throw badModel(`${this.#file.path}: its header is damaged (a value of type ${type})`);
    }
  }

  #view(length: number): DataView {
    if (this.position + length > this.#file.size) {
      throw badModel(`${this.#file.path}: ends within its header; the file is truncated`);
    }
    if (this.position + length > this.#room.bytes)
      throw badModel(`${this.#file.path}: its header has more than ${this.#room.bytes} bytes; it is damaged`);
    if (this.position + length > this.#start + this.#window.length) {
      const wanted = Math.min(Math.max(length, 1 << 20), this.#file.size - this.position);
      this.#window = this.#file.read(this.position, wanted);
      this.#start = this.position;
    }
    const view = new DataView(this.#window.buffer, this.position - this.#start, length);
    this.position += length;
    return view;
  }
}
