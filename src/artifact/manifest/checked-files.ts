// The guard between the check of a file and its use: only what was hashed is opened, and what was swapped meanwhile is found out.
import { type BigIntStats, closeSync, fstatSync, rmSync, statSync } from 'node:fs';
import { join, normalize } from 'node:path';
import { badModel, type OffsiteError } from '../../api/index.ts';
import type { Files, OpenFile } from '../files.ts';
import { copyModelFile, openPlain, type PlainFile } from '../plain-file.ts';
import { hashBytes, hashDescriptor, hashFile, hashForeignFile, type Written } from './hash-file.ts';

interface CheckedFile {
  sha256: string;
  /** As it was when its bytes were hashed. */
  stat: BigIntStats;
}

/**
 * Files that were hashed, and are looked for, opened and read afterwards, again and again: no others are there, and what is open
 * is what was hashed, whatever stands at its path by then. Looking costs a call to the system a file; where only links or rights
 * have changed, or another file is in its place, it is hashed once more.
 */
export class CheckedFiles implements Files {
  readonly #files = new Map<string, CheckedFile>();
  readonly #open = new Map<OpenFile, { path: string; hashed: CheckedFile }>();
  /** Those that were not what was hashed by the time that they were closed. */
  readonly #changed = new Set<string>();

  /**
   * Hashes a file and remembers what it is.
   * @param look refuses what is open by throwing, before anything is read of it
   * @returns its sha256
   * @throws OffsiteError BadModel when it cannot be read
   */
  digest(path: string, look?: (opened: PlainFile) => void): string {
    const file = hashed(path, look);
    this.#files.set(normalize(path), file);
    return file.sha256;
  }

  has(path: string): boolean {
    return this.#files.has(normalize(path));
  }

  names(directory: string): string[] {
    const here = join(directory, '/');
    const below = [...this.#files.keys()].filter((path) => path.startsWith(here));
    return [...new Set(below.map((path) => path.slice(here.length).split('/')[0] as string))];
  }

  /** In bytes, as it was hashed. @throws OffsiteError BadModel where it was not */
  size(path: string): number {
    return Number(this.#hashed(path).stat.size);
  }

  open(path: string): OpenFile {
    const before = this.#hashed(path);
    const file = openPlain(path);
    const { descriptor, stat } = file;
    try {
      if (!isHashed(file, before)) throw changed(path);
    } catch (error) {
      closeSync(descriptor);
      throw error;
    }
    // Where another file with the same bytes took its place, it is that one from here on.
    const hashed = isItself(stat, before) ? before : { sha256: before.sha256, stat };
    this.#files.set(normalize(path), hashed);
    const open: OpenFile = {
      ...file,
      close: () => {
        this.#open.delete(open);
        if (!isStill(descriptor, hashed)) this.#changed.add(path);
        closeSync(descriptor);
      },
    };
    this.#open.set(open, { path, hashed });
    return open;
  }

  confirm(path: string, bytes: Uint8Array): void {
    if (hashBytes(bytes) !== this.#hashed(path).sha256) throw changed(path);
  }

  /**
   * Copies a file to where nothing is.
   * @param most how many bytes it may have
   * @returns what was copied
   * @throws OffsiteError BadModel where it is too long, or not what was hashed; then nothing of it stays there
   */
  copy(from: string, to: string, most?: number): Written {
    const { sha256, stat } = this.#hashed(from);
    if (copyModelFile(from, to, most) === sha256) return { sizeBytes: Number(stat.size), sha256 };
    rmSync(to, { force: true });
    throw changed(from);
  }

  /** @throws OffsiteError BadModel naming a file that is another one now, or gone */
  checkUnchanged(): void {
    for (const path of this.#changed) throw changed(path);
    for (const [{ descriptor }, { path, hashed }] of this.#open)
      if (!isStill(descriptor, hashed)) throw changed(path);
    for (const [path, file] of this.#files) if (!isUnchanged(path, file)) throw changed(path);
  }

  #hashed(path: string): CheckedFile {
    const file = this.#files.get(normalize(path));
    if (file === undefined) throw badModel(`${path}: was not there when the files were hashed; run again`);
    return file;
  }
}

function hashed(path: string, look?: (opened: PlainFile) => void): CheckedFile {
  try {
    return hashForeignFile(path, look);
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === 'ENOENT' ? badModel(`${path}: leads to no file`) : error;
  }
}

const changed = (path: string): OffsiteError =>
  badModel(`${path}: was changed while it was read; nothing was made of it: run again`);

function isUnchanged(path: string, hashed: CheckedFile): boolean {
  const now = statSync(path, { bigint: true, throwIfNoEntry: false });
  if (now === undefined || !isAlike(now, hashed)) return false;
  return isItself(now, hashed) || hashFile(path).sha256 === hashed.sha256;
}

/** Whether what is open is what was hashed. */
const isHashed = ({ descriptor, stat }: PlainFile, hashed: CheckedFile): boolean =>
  isAlike(stat, hashed) && (isItself(stat, hashed) || hashDescriptor(descriptor, stat) === hashed.sha256);

/** The same after it was read; what the system cannot say any more is no proof. */
function isStill(descriptor: number, hashed: CheckedFile): boolean {
  try {
    return isHashed({ descriptor, stat: fstatSync(descriptor, { bigint: true }) }, hashed);
  } catch {
    return false;
  }
}

/** A file that was written to may have been another one in between, whatever its bytes are now; one in its place has a time of its own. */
const isAlike = (now: BigIntStats, { stat }: CheckedFile) =>
  now.size === stat.size && (now.mtimeNs === stat.mtimeNs || now.dev !== stat.dev || now.ino !== stat.ino);

/** Rights, owners and links to a file change nothing in it, and some file systems number their files anew: then its bytes tell. */
const isItself = (now: BigIntStats, { stat }: CheckedFile) =>
  now.dev === stat.dev && now.ino === stat.ino && now.ctimeNs === stat.ctimeNs;
