// An artifact in the making: its files are what was written, whatever lies at their places by the time that it is sealed.
import { type BigIntStats, lstatSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { badModel } from '../../api/index.ts';
import { CheckedFiles } from './checked-files.ts';
import { hashBytes, type Written } from './hash-file.ts';

/**
 * The files of a directory by what was written into it. Where it is made, others may write as well: what they put in the
 * place of a file is not what is sealed, and no file is written through a link of theirs.
 */
export class WrittenFiles {
  readonly #directory: string;
  readonly #stat: BigIntStats;
  readonly #files = new Map<string, Written>();

  /** @param directory that is there */
  constructor(directory: string) {
    this.#directory = directory;
    this.#stat = lstatSync(directory, { bigint: true });
  }

  /**
   * Takes a file in.
   * @param write makes it at a path where nothing is
   * @throws OffsiteError BadModel where the directory is another one by now; what `write` throws
   */
  add(name: string, write: (path: string) => Written): void {
    this.#checkDirectory();
    this.#files.set(name, write(join(this.#directory, name)));
  }

  /** Writes a small file where nothing is. @throws Error of the system */
  write(name: string, content: string | Uint8Array): void {
    this.add(name, (path) => {
      writeFileSync(path, content, { flag: 'wx', flush: true });
      return { sizeBytes: Buffer.byteLength(content), sha256: hashBytes(content) };
    });
  }

  /**
   * The file of this name that was written.
   * @throws OffsiteError BadModel where none was
   */
  get(name: string): Written {
    const written = this.#files.get(name);
    if (written === undefined) throw this.#changed(name);
    return written;
  }

  /**
   * Looks whether the directory holds these files and no others.
   * @param names those that lie there
   * @throws OffsiteError BadModel naming one that is too many, or that is gone
   */
  checkNames(names: readonly string[]): void {
    this.#checkDirectory();
    for (const name of names) this.get(name);
    for (const name of this.#files.keys()) if (!names.includes(name)) throw this.#changed(name);
  }

  /** What was written, to be read again. @throws OffsiteError BadModel naming a file that is another one by now */
  read(): CheckedFiles {
    const files = new CheckedFiles();
    for (const [name, { sha256 }] of this.#files)
      if (files.digest(join(this.#directory, name)) !== sha256) throw this.#changed(name);
    return files;
  }

  #checkDirectory(): void {
    const now = lstatSync(this.#directory, { bigint: true, throwIfNoEntry: false });
    if (now?.ino !== this.#stat.ino || now.dev !== this.#stat.dev || !now.isDirectory())
      throw badModel(
        `${this.#directory}: was exchanged while an artifact was made there; nothing was made: look who else may write there`,
      );
  }

  #changed(name: string) {
    return badModel(
      `${join(this.#directory, name)}: was changed while the artifact was made; nothing was made: look who else may write there, and run again`,
    );
  }
}
