// The local copy of a place in a store, and its bookkeeping: which version each file is of.
import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { z } from 'zod';
import { badSpec } from '../../api/index.ts';
import { type Copy, pathOfCopy, rootOfCopies } from '../address/copies.ts';
import { readKept } from '../bounded-file.ts';
import { type InnerPath, itself } from '../inner-path.ts';
import { writeWhole } from '../write-whole.ts';

/**
 * Where a place of a store has its copy below the scratch directory, and where notes about each file of it lie: outside the
 * copy, which must hold nothing else.
 */
export class StoreCopy {
  readonly place: string;
  readonly #scheme: string;
  readonly #scratch: string;
  readonly #root: string;
  readonly #notes: string;

  constructor(scratch: string, copy: Copy) {
    const { scheme, place, secret } = copy;
    this.place = place;
    this.#scheme = scheme;
    this.#scratch = scratch;
    this.#root = pathOfCopy(scratch, copy, secret);
    this.#notes = rootOfCopies(join(scratch, '.notes'), copy, secret);
  }

  /** @param path from the place; `itself` for the place itself */
  fileOf(path: InnerPath): string {
    return path === itself ? this.#root : join(this.#root, path);
  }

  objectOf(path: string): string {
    return path === '' ? this.place : `${this.place}/${path}`;
  }

  /** Named by a hash: an object may have the name of another's note, and a name as long as can be. */
  noteOf(path: string): string {
    return join(this.#notes, createHash('sha256').update(this.objectOf(path)).digest('hex'));
  }

  describe(path: string): string {
    return `${this.#scheme}://${this.objectOf(path)}`;
  }

  /**
   * Nothing is written or cleared through a symbolic link: it would happen outside of the copy.
   * @throws OffsiteError BadSpec where one lies on the way from the scratch directory to a file of the copy
   */
  checkLinks(path: InnerPath): void {
    let at = this.#scratch;
    for (const part of relative(this.#scratch, this.fileOf(path)).split(sep)) {
      at = join(at, part);
      const stat = lstatSync(at, { throwIfNoEntry: false });
      if (stat === undefined) return;
      if (stat.isSymbolicLink())
        throw badSpec(
          `${this.describe(path)}: a symbolic link lies in its copy (${at}) and leads out of it: remove the link`,
        );
    }
  }
}

/** What is known of a file of a copy: the version that it is of, and when it was last written here. */
const noteSchema = z.object({
  version: z.string(),
  sizeBytes: z.number(),
  mtimeMs: z.number().optional(),
});
export type Note = z.output<typeof noteSchema>;

export const readNote = (path: string): Note | undefined => readKept(noteSchema, `${path}.json`);

/** Whole or not at all. */
export function writeNote(path: string, note: Note): void {
  mkdirSync(dirname(path), { recursive: true });
  writeWhole(`${path}.json`, JSON.stringify(note));
}
