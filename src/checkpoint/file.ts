import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { badModel } from '../api/index.ts';
import type { Checkpoint, ReadOptions, TensorInfo } from './checkpoint.ts';
import { blocks, decodeInto } from './decode.ts';

/** A tensor and where its bytes lie in its file. */
export interface Located extends TensorInfo {
  offset: number;
  bytes: number;
}

/** A file that is read at offsets; every short read is an error that names the file. */
export class RandomAccessFile {
  readonly path: string;
  readonly size: number;
  readonly #descriptor: number;

  constructor(path: string) {
    this.path = path;
    try {
      this.#descriptor = openSync(path, 'r');
    } catch (error) {
      throw badModel(`${path}: cannot be opened (${(error as NodeJS.ErrnoException).code})`);
    }
    const stat = fstatSync(this.#descriptor);
    if (!stat.isFile()) throw badModel(`${path}: is not a file`);
    this.size = stat.size;
  }

  read(offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    this.readInto(offset, bytes);
    return bytes;
  }

  readInto(offset: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; ) {
      const read = readSync(this.#descriptor, bytes, done, bytes.length - done, offset + done);
      if (read === 0) throw badModel(`${this.path}: ends at byte ${offset + done}; the file is truncated`);
      done += read;
    }
  }

  close(): void {
    closeSync(this.#descriptor);
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
    if (blocks[tensor.dtype].elements === 1 && !/^B?F/.test(tensor.dtype)) {
      throw badModel(
        `${this.#file.path}: tensor ${name} is ${tensor.dtype}; a weight must be a floating-point type`,
      );
    }
    const elements = tensor.shape.reduce((a, b) => a * b, 1);
    const rowCount = tensor.shape[0] ?? 1;
    const [start, end] = rows ?? [0, rowCount];
    if (start < 0 || end > rowCount || start > end) {
      throw badModel(
        `${this.#file.path}: tensor ${name} has ${rowCount} rows; rows ${start} to ${end} were asked for`,
      );
    }
    const rowElements = elements / rowCount;
    const rowBytes = tensor.bytes / rowCount;
    const values = into ?? new Float32Array((end - start) * rowElements);
    if (tensor.dtype === 'F32') {
      this.#file.readInto(
        tensor.offset + start * rowBytes,
        new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
      );
    } else {
      decodeInto(
        this.#file.read(tensor.offset + start * rowBytes, (end - start) * rowBytes),
        tensor.dtype,
        values,
      );
    }
    return values;
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
