import { mkdir, open, readdir, readFile, rmdir, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { LockPlace, Standing } from './lock.ts';

/**
 * A lock in a directory of its own: a file with a number, of which the highest counts. A number is created by one process
 * alone, on network file systems too, and each sign of life is the next number.
 */
export class DiskLock implements LockPlace {
  readonly isReliable = true;
  readonly #directory: string;

  constructor(path: string) {
    this.#directory = join(dirname(path), `.${basename(path).slice(0, 100)}.offsite-lock`);
  }

  async read(): Promise<Standing | undefined> {
    // The file may be followed by the next one between two looks.
    for (;;) {
      const number = await this.#highest();
      if (number === undefined) return undefined;
      const text = await orAbsent(readFile(this.#file(number), 'utf8'));
      if (text !== undefined) return { version: String(number), text };
    }
  }

  async write(text: string, over: string | undefined): Promise<string | undefined> {
    const number = over === undefined ? 1 : Number(over) + 1;
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
    await orAbsent(unlink(this.#file(Number(version))));
    // It stays where another has come meanwhile.
    await rmdir(this.#directory).catch(() => {});
  }

  /** False where another process has made it. */
  async #create(number: number, text: string): Promise<boolean> {
    for (let again = 0; ; again++) {
      try {
        await mkdir(this.#directory, { recursive: true });
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
    const names = (await orAbsent(readdir(this.#directory))) ?? [];
    return names.filter((name) => /^[0-9]{1,15}$/.test(name)).map(Number);
  }

  #file(number: number): string {
    return join(this.#directory, String(number));
  }
}

async function orAbsent<T>(result: Promise<T>): Promise<T | undefined> {
  try {
    return await result;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
