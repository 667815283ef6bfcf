// A lock's form on a file system, also on one of a network: numbered files, each created exclusively.
import { createHash } from 'node:crypto';
import { constants, type Stats } from 'node:fs';
import { lstat, mkdir, open, readdir, rmdir, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { badSpec } from '../../api/index.ts';
import type { LockPlace, Standing } from './lock.ts';

/** What a holder says of itself is some hundred bytes. */
const mostBytes = 1 << 16;
const mostNumber = 999_999_999_999_999;

/** A file's name has at most 255 bytes, of which a lock's own part takes some. */
const mostCharacters = 100;

/** Where the lock of a place is kept. */
export function lockDirectoryOf(path: string): string {
  const name = basename(path);
  const short =
    name.length <= mostCharacters && Buffer.byteLength(name) <= 2 * mostCharacters
      ? name
      : // Names that begin alike are of different places.
        `${name.slice(0, mostCharacters / 2)}-${createHash('sha256').update(name).digest('hex')}`;
  return join(dirname(path), `.${short}.offsite-lock`);
}

/**
 * A lock in a directory of its own: a file with a number, of which the highest counts. A number is created by one process
 * alone, on network file systems too, and each sign of life is the next number. Others may write beside the place: its
 * methods throw OffsiteError BadSpec for a link, or anything else that no lock is made of.
 */
export class DiskLock implements LockPlace {
  readonly isReliable = true;
  readonly #directory: string;

  constructor(path: string) {
    this.#directory = lockDirectoryOf(path);
  }

  async read(signal?: AbortSignal): Promise<Standing | undefined> {
    // The file may be followed by the next one between two looks.
    for (;;) {
      signal?.throwIfAborted();
      const number = await this.#highest();
      if (number === undefined) return undefined;
      const text = await orAbsent(readHolder(this.#file(number)));
      if (text !== undefined) return { version: String(number), text };
    }
  }

  async write(text: string, over: string | undefined): Promise<string | undefined> {
    const number = over === undefined ? 1 : Number(over) + 1;
    // Behind a number of 16 digits, which no run comes to, no other would be seen.
    if (number > mostNumber)
      throw badSpec(`${this.#file(Number(over))}: no run has given so many signs of life: remove it`);
    if (over !== undefined && (await this.#highest()) !== Number(over)) return undefined;
    if (!(await this.#create(number, text))) return undefined;
    if ((await this.#highest()) !== number) {
      await orAbsent(unlink(this.#file(number)));
      return undefined;
    }
    for (const lower of await this.#numbers()) if (lower < number) await orAbsent(unlink(this.#file(lower)));
    return String(number);
  }

  async clear(version: string): Promise<void> {
    await this.#checkOwn();
    await orAbsent(unlink(this.#file(Number(version))));
    // It stays where another has come meanwhile.
    await rmdir(this.#directory).catch(() => {});
  }

  /** False where another process has made it. */
  async #create(number: number, text: string): Promise<boolean> {
    for (let again = 0; ; again++) {
      try {
        await mkdir(this.#directory, { recursive: true });
        await this.#checkOwn();
        const file = await open(this.#file(number), 'wx');
        try {
          await file.writeFile(text);
        } finally {
          await file.close();
        }
        return true;
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code === 'EEXIST') return false;
        // The directory went with the last holder just now.
        if (code === 'ENOENT' && again < 100) continue;
        await orAbsent(unlink(this.#file(number)));
        throw error;
      }
    }
  }

  async #highest(): Promise<number | undefined> {
    return (await this.#numbers()).sort((a, b) => a - b).at(-1);
  }

  async #numbers(): Promise<number[]> {
    if (!(await this.#checkOwn())) return [];
    const names = (await orAbsent(readdir(this.#directory))) ?? [];
    const numbers = names.filter((name) => /^[0-9]+$/.test(name));
    for (const name of numbers)
      if (!/^[1-9][0-9]{0,14}$/.test(name)) throw noLock(join(this.#directory, name));
    return numbers.map(Number);
  }

  /** Whether the directory is there: through a link in its place, another one's files would go. */
  async #checkOwn(): Promise<boolean> {
    const stat = await orAbsent(lstat(this.#directory));
    if (stat !== undefined && !stat.isDirectory()) throw noLock(this.#directory, stat);
    return stat !== undefined;
  }

  #file(number: number): string {
    return join(this.#directory, String(number));
  }
}

async function readHolder(path: string): Promise<string> {
  const stat = await lstat(path);
  if (!stat.isFile()) throw noLock(path, stat);
  // Should it be another one by now: a link is not followed, and a named pipe not waited for.
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(mostBytes), 0, mostBytes, 0);
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await file.close();
  }
}

const noLock = (path: string, stat?: Stats) =>
  badSpec(
    `${path}: ${stat?.isSymbolicLink() ? 'is a symbolic link' : 'is not what a run makes there'}; nothing but the locks of runs may lie there: remove it`,
  );

async function orAbsent<T>(result: Promise<T>): Promise<T | undefined> {
  try {
    return await result;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
