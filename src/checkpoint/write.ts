// The writer of safetensors files, atomic and with one tensor in memory at a time.
import { createHash, type Hash } from 'node:crypto';
import { closeSync, fsyncSync, openSync, renameSync, writeSync } from 'node:fs';
import { clearAt, refuseOutside, type Written } from '../artifact/index.ts';
import type { StoredDType } from './checkpoint.ts';
import { blocks } from './decode.ts';

export interface TensorToWrite {
  name: string;
  dtype: StoredDType;
  shape: readonly number[];
  /** Called once, when it is this tensor's turn. */
  bytes: () => Uint8Array;
}

/**
 * Writes a .safetensors file: to a temporary name beside it, synced, then renamed, so it is whole or not there.
 * Tensors are asked for one at a time, in order, so memory is bounded by the largest.
 * @returns what was written, hashed on its way there
 * @throws Error with the system's code (ENOSPC, ...); no half-written file stays; OffsiteError BadSpec where a link leads out of its claim
 */
export function writeSafetensors(
  path: string,
  tensors: readonly TensorToWrite[],
  metadata: Readonly<Record<string, string>> = { format: 'pt' },
): Written {
  const header = encodeHeader(tensors, metadata);
  const temporary = `${path}.tmp`;
  const hash = createHash('sha256');
  refuseOutside(path);
  try {
    // What a killed process has left there; a link that comes after it is refused and not followed.
    clearAt(temporary);
    const file = openSync(temporary, 'wx');
    try {
      writeAll(file, header, hash);
      for (const tensor of tensors) {
        const bytes = tensor.bytes();
        if (bytes.byteLength !== storedBytes(tensor)) {
          throw new Error(
            `tensor ${tensor.name}: ${bytes.byteLength} bytes do not make [${tensor.shape}] ${tensor.dtype}`,
          );
        }
        writeAll(file, bytes, hash);
      }
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    refuseOutside(path);
    renameSync(temporary, path);
    const sizeBytes = tensors.reduce((sum, tensor) => sum + storedBytes(tensor), header.length);
    return { sizeBytes, sha256: `sha256:${hash.digest('hex')}` };
  } catch (error) {
    clearAt(temporary);
    throw named(error, path);
  }
}

/** What the system says of a descriptor names no file; a reader must know which one it is. */
function named(error: unknown, path: string): unknown {
  if (error instanceof Error && 'code' in error && !('path' in error))
    Object.assign(error, { message: `${error.message} (${path})`, path });
  return error;
}

function encodeHeader(
  tensors: readonly TensorToWrite[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  let offset = 0;
  const entries = tensors.map((tensor): [string, unknown] => {
    const { name, dtype, shape } = tensor;
    const start = offset;
    offset += storedBytes(tensor);
    return [name, { dtype, shape, data_offsets: [start, offset] }];
  });
  // fromEntries, since assigning would take the name __proto__ for something else.
  const header = Object.fromEntries([['__metadata__', metadata], ...entries]);
  const json = new TextEncoder().encode(JSON.stringify(header));
  // Padded with spaces so that the tensors start at a multiple of 8.
  const length = Math.ceil(json.length / 8) * 8;
  const bytes = new Uint8Array(8 + length).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
  bytes.set(json, 8);
  return bytes;
}

/** Bytes of a tensor as it is written. */
export function storedBytes({ dtype, shape }: Pick<TensorToWrite, 'dtype' | 'shape'>): number {
  const { elements, bytes } = blocks[dtype];
  return (shape.reduce((a, b) => a * b, 1) / elements) * bytes;
}

/** The system takes no more than 2 GiB in one call. */
const writeBytesAtOnce = 1 << 30;

function writeAll(file: number, bytes: Uint8Array, hash: Hash): void {
  for (let done = 0; done < bytes.length; ) {
    const written = writeSync(file, bytes, done, Math.min(bytes.length - done, writeBytesAtOnce));
    hash.update(bytes.subarray(done, done + written));
    done += written;
  }
}
