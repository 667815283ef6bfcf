// The reader of safetensors files: header and tensor table, within bounds, without gaps or overlaps.
import { z } from 'zod';
import { badModel, listOf, mapOf, outline } from '../api/index.ts';
import type { Files } from '../artifact/index.ts';
import type { DType } from './checkpoint.ts';
import { blocks } from './decode.ts';
import { FileCheckpoint, type Located, longestName, mostTensors, RandomAccessFile } from './file.ts';
import { foreignKind, kindBytes } from './foreign.ts';
import { isQuantised } from './quantised.ts';

/** The safetensors format's own bound on its header (its README). */
const headerLimit = 100_000_000;
/** An entry is an object with two lists, of a shape and two offsets. */
const headerBounds = { bytes: headerLimit, depth: 3, values: 16 * mostTensors, name: longestName };

/** PyTorch's own bound. */
const mostDimensions = 64;

const metadataSchema = mapOf(z.string());
const entrySchema = z.object({
  dtype: z.string(),
  shape: listOf(z.int().nonnegative(), z.array(z.unknown()).max(mostDimensions)),
  data_offsets: z.tuple([z.int().nonnegative(), z.int().nonnegative()]),
});

/**
 * Opens one .safetensors file: 8 bytes of header length, a JSON header, then the tensors without gaps.
 * @throws OffsiteError BadModel naming the file and, where it is one tensor's fault, the tensor
 */
export function openSafetensors(path: string, files?: Files): FileCheckpoint {
  const file = new RandomAccessFile(path, files);
  try {
    const { header, start } = readHeader(file);
    const { __metadata__: metadata = {}, ...entries } = header;
    const known = metadataSchema.safeParse(metadata);
    if (!known.success)
      throw badModel(`${path}: __metadata__ in its header is not a mapping from text to text`);
    const tensors = new Map(
      Object.entries(entries).map(([name, entry]) => [name, locate(file, name, entry, start)]),
    );
    checkNoGaps(file, [...tensors.values()], start);
    return new FileCheckpoint(file, tensors, known.data);
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
    const damage = `its header claims ${length} bytes, the file has ${file.size}; it is truncated or not safetensors`;
    throw badModel(`${file.path}: ${kindOf(file) ?? damage}`);
  }
  const bytes = file.read(8, length);
  const keys = checkHeader(file, bytes);
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    const damage = 'its header is not JSON; the file is damaged or not safetensors';
    throw badModel(`${file.path}: ${kindOf(file) ?? damage}`);
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header)) {
    throw badModel(`${file.path}: its header is not a JSON object`);
  }
  // JSON.parse takes the last of two without a word.
  const seen = new Set<string>();
  for (const key of keys) {
    if (seen.has(key)) throw badModel(`${file.path}: tensor ${key} stands twice in its header`);
    seen.add(key);
  }
  return { header: header as Record<string, unknown>, start: 8 + length };
}

/** The header's names. @throws OffsiteError BadModel where it claims more than any model has, before memory is taken for it */
function checkHeader({ path }: RandomAccessFile, bytes: Uint8Array): string[] {
  try {
    const { keys } = outline(bytes, headerBounds);
    if (keys.length > mostTensors) throw new Error(`names ${keys.length} tensors, more than ${mostTensors}`);
    return keys;
  } catch (error) {
    throw badModel(`${path}: its header ${(error as Error).message}; the file is damaged or not safetensors`);
  }
}

const kindOf = (file: RandomAccessFile) => foreignKind(file.read(0, Math.min(file.size, kindBytes)));

function locate(file: RandomAccessFile, name: string, entry: unknown, start: number): Located {
  const parsed = entrySchema.safeParse(entry);
  if (!parsed.success)
    throw badModel(
      `${file.path}: tensor ${name}: its header entry needs dtype, shape (of at most ${mostDimensions} sizes) and data_offsets`,
    );
  const { dtype, shape, data_offsets: offsets } = parsed.data;
  if (!Object.hasOwn(blocks, dtype) || isQuantised(dtype)) {
    throw badModel(`${file.path}: tensor ${name}: its dtype is none that safetensors has`);
  }
  const bytes = offsets[1] - offsets[0];
  const expected =
    (shape.reduce((a, b) => a * b, 1) / blocks[dtype as DType].elements) * blocks[dtype as DType].bytes;
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

/** The format allows neither overlaps nor holes: something could be hidden there. */
function checkNoGaps({ path, size }: RandomAccessFile, tensors: Located[], start: number): void {
  tensors.sort((a, b) => a.offset - b.offset || a.bytes - b.bytes);
  let end = start;
  let before = 'the header';
  for (const { name, offset, bytes } of tensors) {
    if (offset < end) throw badModel(`${path}: tensors ${before} and ${name} overlap; the header is damaged`);
    if (offset > end)
      throw badModel(
        `${path}: ${offset - end} bytes between ${before} and tensor ${name} belong to no tensor`,
      );
    end = offset + bytes;
    before = name;
  }
  if (end < size) throw badModel(`${path}: ${size - end} bytes after ${before} belong to no tensor`);
}
