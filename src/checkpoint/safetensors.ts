import { z } from 'zod';
import { badModel } from '../api/index.ts';
import type { DType } from './checkpoint.ts';
import { blocks } from './decode.ts';
import { FileCheckpoint, type Located, RandomAccessFile } from './file.ts';

/** The safetensors format's own bound on its header (its README). */
const headerLimit = 100_000_000;

const entrySchema = z.object({
  dtype: z.string(),
  shape: z.array(z.int().nonnegative()),
  data_offsets: z.tuple([z.int().nonnegative(), z.int().nonnegative()]),
});

/**
 * Opens one .safetensors file: 8 bytes of header length, a JSON header, then the tensors without gaps.
 * @throws OffsiteError BadModel naming the file and, where it is one tensor's fault, the tensor
 */
export function openSafetensors(path: string): FileCheckpoint {
  const file = new RandomAccessFile(path);
  try {
    const { header, start } = readHeader(file);
    const { __metadata__: metadata = {}, ...entries } = header;
    const tensors = new Map(
      Object.entries(entries).map(([name, entry]) => [name, locate(file, name, entry, start)]),
    );
    checkNoOverlap(file.path, [...tensors.values()]);
    return new FileCheckpoint(file, tensors, metadata as Record<string, unknown>);
  } catch (error) {
    file.close();
    throw error;
  }
}

function readHeader(file: RandomAccessFile): { header: Record<string, unknown>; start: number } {
  if (file.size < 8)
    throw badModel(
      `${file.path}: is ${file.size} bytes long; a safetensors file starts with 8 bytes of header length`,
    );
  const length = Number(new DataView(file.read(0, 8).buffer).getBigUint64(0, true));
  if (length > headerLimit || 8 + length > file.size) {
    throw badModel(
      `${file.path}: its header claims ${length} bytes, the file has ${file.size}; it is truncated or not safetensors`,
    );
  }
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(file.read(8, length)));
  } catch {
    throw badModel(`${file.path}: its header is not JSON; the file is damaged or not safetensors`);
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header)) {
    throw badModel(`${file.path}: its header is not a JSON object`);
  }
  return { header: header as Record<string, unknown>, start: 8 + length };
}

function locate(file: RandomAccessFile, name: string, entry: unknown, start: number): Located {
  const parsed = entrySchema.safeParse(entry);
  if (!parsed.success)
    throw badModel(`${file.path}: tensor ${name}: its header entry needs dtype, shape and data_offsets`);
  const { dtype, shape, data_offsets: offsets } = parsed.data;
  if (!Object.hasOwn(blocks, dtype) || dtype.startsWith('Q')) {
    throw badModel(`${file.path}: tensor ${name}: dtype ${dtype} is not supported (F32, F16, BF16 are)`);
  }
  const bytes = offsets[1] - offsets[0];
  const expected = shape.reduce((a, b) => a * b, 1) * blocks[dtype as DType].bytes;
  if (bytes !== expected) {
    throw badModel(
      `${file.path}: tensor ${name}: [${shape}] ${dtype} takes ${expected} bytes, its offsets span ${bytes}`,
    );
  }
  if (start + offsets[1] > file.size) {
    throw badModel(
      `${file.path}: tensor ${name} ends at byte ${start + offsets[1]}, the file at ${file.size}; it is truncated`,
    );
  }
  return { name, dtype: dtype as DType, shape, offset: start + offsets[0], bytes };
}

function checkNoOverlap(path: string, tensors: Located[]): void {
  tensors.sort((a, b) => a.offset - b.offset || a.bytes - b.bytes);
  for (let i = 1; i < tensors.length; i++) {
    const [before, after] = [tensors[i - 1] as Located, tensors[i] as Located];
    if (before.offset + before.bytes > after.offset) {
      throw badModel(`${path}: tensors ${before.name} and ${after.name} overlap; the header is damaged`);
    }
  }
}
