// The byte stream of a file of rows, decompressed where it needs to be and only within bounds.
import { readSync } from 'node:fs';
import { Readable, type Transform } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { badData, OffsiteError, withPath } from '../api/index.ts';
import type { Files, OpenFile } from '../artifact/index.ts';
import { mostExpansion } from './row-size.ts';

/** A piece of a file is twice as long as the one before: each of many short frames reads little ahead. */
const [firstChunk, largestChunk] = [1 << 16, 1 << 20];
/** What any compressed file may come to. */
const alwaysAllowed = 16 << 20;

/** More frames than pzstd makes of a file of gigabytes; each is started anew. */
const mostFrames = 10_000;

interface Codec {
  readonly name: string;
  /** What tells such a file, whatever its name; no text in UTF-8 and no JSON starts so. */
  readonly magic: readonly number[];
  readonly unpack: () => Transform & { bytesWritten: number };
}
const codecs: readonly Codec[] = [
  { name: 'gzip', magic: [0x1f, 0x8b], unpack: createGunzip },
  { name: 'zstd', magic: [0x28, 0xb5, 0x2f, 0xfd], unpack: createZstdDecompress },
  // A frame of notes before the first of data, as pzstd writes it.
  { name: 'zstd', magic: [0x50, 0x2a, 0x4d, 0x18], unpack: createZstdDecompress },
];

/**
 * The bytes of a file of rows in pieces, unpacked where it is gzip or zstd. No more is read than is taken.
 * @param files opens it
 * @throws OffsiteError BadData where it is no plain file, its packed bytes are damaged or need a large window, or they expand without bound
 */
export async function* bytesOf(path: string, files: Files): AsyncGenerator<Buffer> {
  const file = openFile(path, files);
  try {
    const chunks = chunksOf(file, 0);
    const first = chunks.next();
    if (first.done) return;
    const codec = codecs.find(({ magic }) => magic.every((byte, i) => first.value[i] === byte));
    if (codec !== undefined) yield* unpacked(file, codec);
    else {
      yield first.value;
      yield* chunks;
    }
  } finally {
    file.close();
  }
}

/** An open file of rows. */
export interface RowsFile extends OpenFile {
  readonly path: string;
  readonly size: number;
}

/** @throws OffsiteError BadData where it is no plain file, or not the one that was hashed; Error of the system where it cannot be opened */
export function openFile(path: string, files: Files): RowsFile {
  try {
    const file = files.open(path);
    return { ...file, path, size: Number(file.stat.size), close: () => file.close() };
  } catch (error) {
    if (error instanceof OffsiteError) throw badData(error.message);
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') throw badData(`${path}: there is no such file`);
    // No fault of the rows: what the system's code means is told where a stage fails.
    if (code !== undefined) throw error;
    throw badData(`${path}: ${message}`);
  }
}

/** The first bytes of a file. @throws Error of the system, with the path, where it cannot be read */
export function startOf({ path, descriptor }: RowsFile, bytes: number): Uint8Array {
  const start = Buffer.alloc(bytes);
  return start.subarray(0, readSome(descriptor, start, 0, path));
}

function* chunksOf({ path, descriptor }: RowsFile, from: number): Generator<Buffer, undefined> {
  for (let [at, bytes] = [from, firstChunk]; ; bytes = Math.min(2 * bytes, largestChunk)) {
    const chunk = Buffer.allocUnsafe(bytes);
    const read = readSome(descriptor, chunk, at, path);
    if (read === 0) return;
    at += read;
    yield chunk.subarray(0, read);
  }
}

function readSome(descriptor: number, chunk: Buffer, at: number, path: string): number {
  try {
    return readSync(descriptor, chunk, 0, chunk.length, at);
  } catch (error) {
    throw withPath(error, path);
  }
}

/** Frame after frame: Node's zstd stops at the end of the first without a word. */
async function* unpacked(file: RowsFile, codec: Codec): AsyncGenerator<Buffer> {
  const { path, size } = file;
  const most = Math.max(alwaysAllowed, mostExpansion * size);
  let bytes = 0;
  let frames = 0;
  for (let at = 0; at < size; ) {
    if (++frames > mostFrames) throw badData(`${path}: has more than ${mostFrames} frames of ${codec.name}`);
    const frame = frameOf(file, codec, at);
    for (;;) {
      const { value, done } = await frame.next();
      if (done) {
        at += value;
        break;
      }
      bytes += value.length;
      if (bytes > most)
        throw badData(
          `${path}: its ${size} bytes of ${codec.name} expand to more than ${most}; unpack it, if that is right`,
        );
      yield value;
    }
  }
}

/** @returns how many packed bytes it took */
async function* frameOf(file: RowsFile, { name, unpack }: Codec, at: number): AsyncGenerator<Buffer, number> {
  const source = Readable.from(chunksOf(file, at), { highWaterMark: 1 });
  const stream = source.pipe(unpack());
  let unread: Error | undefined;
  // A pipe does not hand errors on.
  source.on('error', (error) => {
    unread = error;
    stream.destroy(error);
  });
  try {
    yield* stream as AsyncIterable<Buffer>;
  } catch (error) {
    if (error instanceof OffsiteError) throw error;
    if ((error as NodeJS.ErrnoException).code === 'ZSTD_error_frameParameter_windowTooLarge')
      throw badData(
        `${file.path}: its zstd data needs a window of more than 128 MiB to be read; pack it again without --long, or with --long=27 at most`,
      );
    throw unread ?? badData(`${file.path}: its ${name} data is damaged or cut off`);
  } finally {
    source.destroy();
    stream.destroy();
  }
  if (stream.bytesWritten === 0) throw badData(`${file.path}: its ${name} data is damaged or cut off`);
  return stream.bytesWritten;
}
