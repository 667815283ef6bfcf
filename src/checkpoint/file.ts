// Random access to a file, and a checkpoint whose tensors lie in one.
import { readSync } from 'node:fs';
import { badModel, withPath } from '../api/index.ts';
import { type Files, NotPlain, type OpenFile, onDisk } from '../artifact/index.ts';
import type { Checkpoint, ReadOptions, TensorInfo } from './checkpoint.ts';
import { blocks, decodeInto, isReadable } from './decode.ts';

/** The most bytes of one call to the system (it takes no more than 2 GiB), and of encoded values held while they are decoded. */
const readBytesAtOnce = 1 << 30;
const decodeBytesAtOnce = 4 << 20;

/** More than any model has, so that a header cannot claim memory without end: large models with experts have 100,000. */
export const mostTensors = 1 << 18;
/** Of a tensor, in bytes; transformers' longest have about a hundred. */
export const longestName = 1024;

/** A tensor and where its bytes lie in its file. */
export interface Located extends TensorInfo {
  offset: number;
  bytes: number;
}

/**
 * A file that is read at offsets; every short read is an error that names the file. What the system refuses is thrown as its own
 * error, with the path: a disk that does not answer is no fault of the file.
 */
export class RandomAccessFile {
  readonly path: string;
  readonly size: number;
  readonly #file: OpenFile;

  constructor(path: string, files: Files = onDisk) {
    this.path = path;
    try {
      this.#file = files.open(path);
      this.size = Number(this.#file.stat.size);
    } catch (error) {
      if (error instanceof NotPlain)
        throw badModel(`${path}: ${error.isOutside ? error.message : 'is not a file'}`);
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      throw badModel(`${path}: leads to no file`);
    }
  }

  read(offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    this.readInto(offset, bytes);
    return bytes;
  }

  readInto(offset: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; ) {
      const wanted = Math.min(bytes.length - done, readBytesAtOnce);
      const read = this.#readSome(bytes, done, wanted, offset + done);
      if (read === 0) throw badModel(`${this.path}: ends at byte ${offset + done}; the file is truncated`);
      done += read;
    }
  }

  close(): void {
    this.#file.close();
  }

  #readSome(bytes: Uint8Array, at: number, length: number, offset: number): number {
    try {
      return readSync(this.#file.descriptor, bytes, at, length, offset);
    } catch (error) {
      throw withPath(error, this.path);
    }
  }
}

/** A checkpoint over one file whose tensors have been located. */
export class FileCheckpoint implements Checkpoint {
  readonly tensors: ReadonlyMap<string, Located>;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly #file: RandomAccessFile;

  constructor(
    file: RandomAccessFile,
    tensors: ReadonlyMap<string, Located>,
    metadata: Record<string, unknown>,
  ) {
    this.#file = file;
    this.tensors = tensors;
    this.metadata = metadata;
  }

  read(name: string, { rows, into }: ReadOptions = {}): Float32Array {
    const tensor = this.#tensor(name);
    if (!isReadable(tensor.dtype))
      throw badModel(
        `${this.#file.path}: tensor ${name} is ${tensor.dtype}; a weight must be F32, F16, BF16 or F64`,
      );
    const elements = tensor.shape.reduce((a, b) => a * b, 1);
    const rowCount = tensor.shape[0] ?? 1;
    const [start, end] = rows ?? [0, rowCount];
    if (start < 0 || end > rowCount || start > end) {
      throw badModel(
        `${this.#file.path}: tensor ${name} has ${rowCount} rows; rows ${start} to ${end} were asked for`,
      );
    }
    const rowElements = rowCount === 0 ? 0 : elements / rowCount;
    const wanted = (end - start) * rowElements;
    const values = into ?? new Float32Array(wanted);
    if (values.length !== wanted)
      throw new Error(`tensor ${name}: ${wanted} elements do not fit into ${values.length}`);
    this.#decode(tensor, start * rowElements, values);
    return values;
  }

  /** The elements from `first` on; a row of a quantised tensor is whole blocks. */
  #decode({ dtype, offset }: Located, first: number, values: Float32Array): void {
    const { elements, bytes } = blocks[dtype];
    const from = offset + (first / elements) * bytes;
    if (dtype === 'F32') {
      this.#file.readInto(from, new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
      return;
    }
    const step = Math.floor(decodeBytesAtOnce / bytes) * elements;
    for (let done = 0; done < values.length; done += step) {
      const part = values.subarray(done, done + step);
      const encoded = this.#file.read(from + (done / elements) * bytes, (part.length / elements) * bytes);
      decodeInto(encoded, dtype, part);
    }
  }

  readBytes(name: string): Uint8Array {
    const { offset, bytes } = this.#tensor(name);
    return this.#file.read(offset, bytes);
  }

  close(): void {
    this.#file.close();
  }

  #tensor(name: string): Located {
    const tensor = this.tensors.get(name);
    if (tensor === undefined) throw badModel(`${this.#file.path}: has no tensor ${name}`);
    return tensor;
  }
}
