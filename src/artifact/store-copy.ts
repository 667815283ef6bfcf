import { mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { writeWhole } from './whole.ts';

/** Where a place of a store has its copy, and where notes about each file of it lie: outside the copy, which must hold nothing else. */
export class StoreCopy {
  readonly place: string;
  readonly #scheme: string;
  readonly #root: string;
  readonly #notes: string;

  /** @param path of the copy; @param notes a directory that nothing else writes to */
  constructor(scheme: string, place: string, path: string, notes: string) {
    this.place = place;
    this.#scheme = scheme;
    this.#root = path;
    this.#notes = notes;
  }

  /** @param path from the place; empty for the place itself */
  fileOf(path: string): string {
    return path === '' ? this.#root : join(this.#root, path);
  }

  objectOf(path: string): string {
    return path === '' ? this.place : `${this.place}/${path}`;
  }

  noteOf(path: string): string {
    return join(this.#notes, `${this.objectOf(path)}.note`);
  }

  describe(path: string): string {
    return `${this.#scheme}://${this.objectOf(path)}`;
  }
}

/** What is known of a file of a copy: the version that it is of, and when it was last written here. */
export interface Note {
  version: string;
  sizeBytes: number;
  mtimeMs?: number;
}

export function readNote(path: string): Note | undefined {
  try {
    return JSON.parse(readFileSync(`${path}.json`, 'utf8')) as Note;
  } catch {
    return undefined;
  }
}

/** Whole or not at all. */
export function writeNote(path: string, note: Note): void {
  mkdirSync(dirname(path), { recursive: true });
  writeWhole(`${path}.json`, JSON.stringify(note));
}
