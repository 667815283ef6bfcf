import { z } from 'zod';
import { badModel } from '../api/index.ts';
import type { DType } from './checkpoint.ts';
import { blocks } from './decode.ts';
import { FileCheckpoint, type Located, RandomAccessFile } from './file.ts';

/** The safetensors format's own bound on its header (its README). */
const headerLimit = 100_000_000;

const metadataSchema = z.record(z.string(), z.string());
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
    throw badModel(
      `${file.path}: its header claims ${length} bytes, the file has ${file.size}; it is truncated or not safetensors`,
    );
  }
  let header: unknown;
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(file.read(8, length));
    header = JSON.parse(text);
  } catch {
    throw badModel(`${file.path}: its header is not JSON; the file is damaged or not safetensors`);
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header)) {
    throw badModel(`${file.path}: its header is not a JSON object`);
  }
  const twice = repeatedKey(text);
  if (twice !== undefined) throw badModel(`${file.path}: tensor ${twice} stands twice in its header`);
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

/** A key that an object's JSON text has twice at its top level: JSON.parse would take the last without a word. */
function repeatedKey(text: string): string | undefined {
  const seen = new Set<string>();
  let depth = 0;
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"(?:\s*:)?|[{}[\]]/g)) {
    if (token === '{' || token === '[') depth++;
    else if (token === '}' || token === ']') depth--;
    else if (depth === 1 && token.endsWith(':')) {
      const key = JSON.parse(token.slice(0, token.lastIndexOf('"') + 1)) as string;
      if (seen.has(key)) return key;
      seen.add(key);
    }
  }
  return undefined;
}
