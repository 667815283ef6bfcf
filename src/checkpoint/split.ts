// The reader of GGUF models that were split into several files.
import { join } from 'node:path';
import { badModel } from '../api/index.ts';
import type { Files } from '../artifact/index.ts';
import type { Checkpoint } from './checkpoint.ts';
import { HeaderRoom, openGguf } from './gguf.ts';
import { joined } from './joined.ts';

/** More parts than any model has been published in. */
const mostParts = 1024;

/**
 * Opens the .gguf files of a directory: one that is whole, or all parts of one that was split (llama.cpp, gguf-split), which
 * their headers number; the first has the metadata.
 * @throws OffsiteError BadModel naming the part that is missing, or a file that belongs to no split
 */
export function openGgufs(directory: string, names: readonly string[], files: Files): Checkpoint {
  if (names.length > mostParts)
    throw badModel(`${directory}: holds ${names.length} .gguf files; at most ${mostParts} parts are read`);
  const parts: Checkpoint[] = [];
  const close = () => {
    for (const part of parts) part.close();
  };
  try {
    // Each might be within its own bounds, and all are kept.
    const room = new HeaderRoom();
    for (const name of names) {
      const part = openGguf(join(directory, name), files, room);
      parts.push(part);
      if (countOf(part) > 1) continue;
      if (names.length === 1) return part;
      throw badModel(`${directory}: holds ${names.length} .gguf files; name one of them`);
    }
    return joinParts(directory, names, parts);
  } catch (error) {
    close();
    throw error;
  }
}

/** A .gguf file that is named alone. @throws OffsiteError BadModel where it is a part: a digest of it would not be the model's */
export function openWholeGguf(path: string, files: Files): Checkpoint {
  const file = openGguf(path, files);
  const count = countOf(file);
  if (count === 1) return file;
  file.close();
  throw badModel(
    `${path}: is part ${numberOf(file) + 1} of ${count} of a split GGUF model; name the directory that holds all parts`,
  );
}

function joinParts(directory: string, names: readonly string[], files: readonly Checkpoint[]): Checkpoint {
  const count = countOf(files[0]!);
  const byNumber = new Map<number, Checkpoint>();
  for (const [i, file] of files.entries()) {
    if (countOf(file) !== count)
      throw badModel(
        `${join(directory, names[i]!)}: belongs to a split of ${countOf(file)} parts, others to one of ${count}`,
      );
    if (byNumber.has(numberOf(file)))
      throw badModel(
        `${join(directory, names[i]!)}: is part ${numberOf(file) + 1} of ${count}, as another file is`,
      );
    byNumber.set(numberOf(file), file);
  }
  if (count > mostParts)
    throw badModel(`${directory}: its split has ${count} parts; at most ${mostParts} are read`);
  for (let i = 0; i < count; i++)
    if (!byNumber.has(i))
      throw badModel(
        `${directory}: part ${i + 1} of ${count} of the split GGUF model is missing (a name such as ...-${digits(i + 1)}-of-${digits(count)}.gguf)`,
      );
  return joined(tensorsOf(directory, files), files, byNumber.get(0)!.metadata, directory);
}

function tensorsOf(directory: string, files: readonly Checkpoint[]): Map<string, Checkpoint> {
  const tensors = new Map<string, Checkpoint>();
  for (const file of files)
    for (const name of file.tensors.keys()) {
      if (tensors.has(name)) throw badModel(`${directory}: tensor ${name} stands in two parts`);
      tensors.set(name, file);
    }
  return tensors;
}

/** `split.count`; a file that was not split has none. */
const countOf = ({ metadata }: Checkpoint) => Math.max(1, wholeOf(metadata['split.count']) ?? 1);
/** `split.no`, from 0. */
const numberOf = ({ metadata }: Checkpoint) => wholeOf(metadata['split.no']) ?? 0;
/** A text or a list is no number, whatever JavaScript reads in it. */
const wholeOf = (value: unknown) => (Number.isSafeInteger(value) ? (value as number) : undefined);
const digits = (number: number) => String(number).padStart(5, '0');
