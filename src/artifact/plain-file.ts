/** Files are looked at and read by one descriptor: what is put in a file's place after the look is not what is read. */
import { createHash } from 'node:crypto';
import {
  type BigIntStats,
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  openSync,
  readSync,
  rmSync,
  type StatsBase,
  statSync,
  writeSync,
} from 'node:fs';
import { type FileHandle, open, stat as statOf } from 'node:fs/promises';
import { badModel } from '../api/index.ts';
import { isConfined } from './confinement.ts';

export interface PlainFile {
  readonly descriptor: number;
  /** Of what is open, whatever stands at the path by now. */
  readonly stat: BigIntStats;
}

const notPlain = {
  directory: 'is a directory, not a file',
  outside: 'is a symbolic link that leads out of its claim',
  other: 'is no plain file',
};

/** What stands at a path is something else than a file. */
export class NotPlain extends Error {
  /** Whether it is a file that lies where this thread may not read. */
  readonly isOutside: boolean;

  constructor(what: keyof typeof notPlain) {
    super(notPlain[what]);
    this.name = 'NotPlain';
    this.isOutside = what === 'outside';
  }
}

// Without O_NONBLOCK, opening a named pipe would wait for its writer.
const toRead = constants.O_RDONLY | constants.O_NONBLOCK;

/**
 * Opens a file to be read, if it is one; the descriptor is the caller's to close.
 * @throws NotPlain, also where a link leads out of where this thread is confined to; Error of the system
 */
export function openPlain(path: string): PlainFile {
  checkFile(statSync(path));
  const descriptor = openSync(path, toRead);
  try {
    const stat = fstatSync(descriptor, { bigint: true });
    checkOpen(path, descriptor, stat);
    return { descriptor, stat };
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
}

/**
 * The same for who reads it while other work goes on.
 * @throws NotPlain, Error of the system
 */
export async function openPlainHandle(path: string): Promise<FileHandle> {
  checkFile(await statOf(path));
  const file = await open(path, toRead);
  try {
    checkOpen(path, file.fd, await file.stat());
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Before it is opened, too: that alone acts on some devices (a watchdog starts, a tape rewinds). @throws NotPlain */
function checkFile(stat: StatsBase<number | bigint>): void {
  if (!stat.isFile()) throw new NotPlain(stat.isDirectory() ? 'directory' : 'other');
}

/** What is open, whatever stood at its path before. @throws NotPlain */
function checkOpen(path: string, descriptor: number, stat: StatsBase<number | bigint>): void {
  checkFile(stat);
  if (!isConfined(path, descriptor)) throw new NotPlain('outside');
}

/** Opens a file of a model or an artifact. @throws OffsiteError BadModel where it is no plain file, Error of the system */
export function openModelFile(path: string): PlainFile {
  try {
    return openPlain(path);
  } catch (error) {
    if (!(error instanceof NotPlain)) throw error;
    throw badModel(`${path}: ${error.isOutside ? error.message : 'is no plain file'}`);
  }
}

const bytesAtOnce = 4 << 20;

/**
 * Copies a file of a model or an artifact to where nothing is, as long as it was when it was opened; where that fails, nothing
 * of it stays there.
 * @param most how many bytes it may have
 * @returns the sha256 of what was copied
 * @throws OffsiteError BadModel where it is no plain file, is longer, or is cut off meanwhile; Error of the system
 */
export function copyModelFile(from: string, to: string, most = Number.MAX_SAFE_INTEGER): string {
  const { descriptor, stat } = openModelFile(from);
  let target: number | undefined;
  try {
    const size = Number(stat.size);
    if (size > most) throw badModel(`${from}: has ${size} bytes; at most ${most} are taken of such a file`);
    target = openSync(to, 'wx');
    const hash = createHash('sha256');
    const buffer = new Uint8Array(Math.min(size, bytesAtOnce));
    for (let done = 0; done < size; ) {
      const read = readSync(descriptor, buffer, 0, Math.min(buffer.length, size - done), done);
      if (read === 0) throw badModel(`${from}: was cut off while it was read`);
      for (let written = 0; written < read; )
        written += writeSync(target, buffer, written, read - written, done + written);
      hash.update(buffer.subarray(0, read));
      done += read;
    }
    fsyncSync(target);
    return `sha256:${hash.digest('hex')}`;
  } catch (error) {
    if (target !== undefined) rmSync(to, { force: true });
    throw error;
  } finally {
    if (target !== undefined) closeSync(target);
    closeSync(descriptor);
  }
}
