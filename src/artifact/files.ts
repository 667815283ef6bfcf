// Where files are looked for and opened: as they lie on the disk, or as they were when they were hashed.
import { closeSync, readdirSync } from 'node:fs';
import { openPlain, type PlainFile } from './plain-file.ts';
import { isThere } from './unanswered.ts';

/** A file that is read through one descriptor. */
export interface OpenFile extends PlainFile {
  close(): void;
}

/** A place of files; each function takes whole paths. */
export interface Files {
  has(path: string): boolean;
  /** The names in a directory. */
  names(directory: string): readonly string[];
  /** @throws NotPlain, Error of the system, OffsiteError BadModel where it is another file by now */
  open(path: string): OpenFile;
  /** @throws OffsiteError BadModel where bytes that were read of a file are not its own */
  confirm(path: string, bytes: Uint8Array): void;
}

/** Files as they lie there, whatever becomes of them. */
export const onDisk: Files = {
  has: isThere,
  names: (directory) => readdirSync(directory),
  open(path) {
    const file = openPlain(path);
    return { ...file, close: () => closeSync(file.descriptor) };
  },
  confirm() {},
};
