// The interface that all stores share, whatever their protocol, and their errors.
import type { Readable } from 'node:stream';
import { printable } from '../../api/index.ts';

/** An object in a store. */
export interface StoredObject {
  /** From the place that was listed; empty when the place itself is the object. */
  path: string;
  sizeBytes: number;
  /** Another one as soon as the object is another one (its ETag); `untold` where the store does not tell. */
  version: string;
}

/** The version of an object whose store tells none: it says nothing of whether it is the same one as before. */
export const untold = '';

/** What tells an object's bytes, in hexadecimal: their sha256, or the id of the git blob that they are. */
export type Checksum = { sha256: string } | { gitBlob: string };

export interface ReadOptions {
  /** The first byte. */
  from: number;
  /** Only this version is read. */
  version: string;
  signal: AbortSignal;
}

/** Objects by their places, such as `bucket/key`. Errors are StoreError, or BadSpec for what no other try can mend. */
export interface Store {
  /** Asks nobody. @throws OffsiteError BadSpec where the place may not be asked for from here */
  check?(place: string): void;
  /** What lies at a place: that one object, or all below it; empty where nothing is. */
  list(place: string, signal: AbortSignal): Promise<StoredObject[]>;
  /** An object's bytes, and the checksum of the whole where the store knows it. */
  read(object: string, options: ReadOptions): Promise<{ body: Readable; checksum: Checksum | undefined }>;
}

/** A file on its way into a store. */
export interface Outgoing {
  body: Readable;
  sizeBytes: number;
  /** Hexadecimal; kept beside the object and checked when it is read. */
  sha256: string;
  /** Another one for each writer; kept beside the object, since a version follows from the bytes and does not tell whose they are. */
  writer: string;
  /** Absent: whatever is there. */
  condition?: WriteCondition;
}

/** What is kept of an object and beside it: its mark and sha256 only where the server has them. */
export interface Written {
  version: string;
  writer: string | undefined;
  sha256: string | undefined;
}

export interface WritableStore extends Store {
  /** @returns as `writeText` does */
  write(object: string, outgoing: Outgoing, signal: AbortSignal): Promise<string | undefined | 'unsupported'>;
  /** The version of an object, by whom it was written and with which sha256, where that was said; undefined where there is none. */
  written(object: string, signal: AbortSignal): Promise<Written | undefined>;
  remove(objects: readonly string[], signal: AbortSignal): Promise<void>;
  /**
   * A small object's text, read within a time; undefined where there is none, empty where it is too long to be one of ours.
   */
  readText(object: string, signal?: AbortSignal): Promise<{ text: string; version: string } | undefined>;
  /**
   * Writes a small object where the condition holds, within a time; it is not stopped half-way.
   * @returns its version; undefined where the condition does not hold, `unsupported` where the store knows none
   */
  writeText(
    object: string,
    text: string,
    condition: WriteCondition,
  ): Promise<string | undefined | 'unsupported'>;
}

/** Where there is nothing, over one version alone, or whatever is there. */
export type WriteCondition = 'absent' | 'anyway' | { over: string };

/** Why a store did not do what was asked; none of these messages holds a credential. */
export class StoreError extends Error {
  /** AccessDenied and StoreUnavailable may pass; Missing and Changed are about one object. */
  readonly reason: 'AccessDenied' | 'StoreUnavailable' | 'Missing' | 'Changed';

  constructor(reason: StoreError['reason'], message: string, options?: ErrorOptions) {
    super(printable(message), options);
    this.name = 'StoreError';
    this.reason = reason;
  }
}

export const isStoreError = (error: unknown, reason: StoreError['reason']): boolean =>
  error instanceof StoreError && error.reason === reason;
