// What stages see of stores: local paths, synchronised with the places that they are copies of.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { badModel, badSpec, OffsiteError } from '../../api/index.ts';
import { type Copy, copyAt, pathOfCopy } from '../address/copies.ts';
import { itself } from '../inner-path.ts';
import type { Alike } from '../keeper.ts';
import type { LockPlace } from '../lock/lock.ts';
import { DiskLock } from '../lock/on-disk.ts';
import { filesIn } from '../manifest/digest.ts';
import { readCredentials, s3ServerOf } from '../stores/credentials.ts';
import { openStore } from '../stores/open.ts';
import { type Store, StoreError, type WritableStore, type Written } from '../stores/store.ts';
import { StoreLock } from './lock-in-store.ts';
import { pull, type TransferProgress } from './pull.ts';
import { push, type Seen } from './push.ts';
import { readNote, StoreCopy } from './store-copy.ts';

export interface MirrorOptions {
  /** Where copies lie; without it every path is in place. */
  scratch: string | undefined;
  /** Where Secrets are mounted; without it the environment opens every store. */
  secrets?: string | undefined;
  environment?: NodeJS.ProcessEnv | undefined;
  signal: AbortSignal;
  /** Asked before each change of a store; throws where nothing may be brought there any more. */
  beforePush?: () => Promise<void>;
  /** Aborted when nothing may be brought any more: what is under way is broken off. */
  lost?: () => AbortSignal | undefined;
}

/** In bytes: no document that is read of a store has more. */
const largestDocument = 64 << 20;

/** Pauses between tries of a background push: a store may be away for a minute. */
const pauses = [500, 2000, 10_000, 30_000];

/**
 * Keeps paths below the scratch directory like the places of stores that they are copies of (resolveUri). A path that is no
 * such copy lies in place: nothing is done for it.
 */
export class Mirror {
  readonly #options: MirrorOptions;
  readonly #stores = new Map<string, Promise<Store>>();
  readonly #pushing = new Map<string, { again: boolean; done: Promise<void> }>();

  constructor(options: MirrorOptions) {
    this.#options = options;
  }

  /** Whether the path is a store's copy. */
  mirrors(path: string): boolean {
    return copyAt(this.#options.scratch, path) !== undefined;
  }

  /**
   * The path by which a place is compared with others. A copy's own has the name of the Secret that opens its store, and two
   * Secrets may open one server: here the server stands for it.
   */
  comparable(path: string): string {
    const { scratch, secrets, environment } = this.#options;
    const copy = copyAt(scratch, path);
    // No other store can be written to.
    if (scratch === undefined || copy?.scheme !== 's3') return path;
    try {
      return pathOfCopy(scratch, copy, s3ServerOf(readCredentials(copy.secret, secrets, environment)));
    } catch (error) {
      // A Secret that is not there opens nothing, which is said where it is to.
      if (error instanceof OffsiteError) return path;
      throw error;
    }
  }

  /**
   * Whether the path's store can be asked for it at all, without asking: nothing is fetched for a spec that is wrong elsewhere.
   * @throws OffsiteError BadSpec: a Secret that is not there, a host that is not allowed
   */
  async check(path: string): Promise<void> {
    const copy = copyAt(this.#options.scratch, path);
    if (copy !== undefined) (await this.#storeOf(copy)).check?.(copy.place);
  }

  /**
   * Brings what the store holds at a path's place.
   * @returns false where the store has nothing there; true for a path in place, whatever is there
   */
  async pull(
    path: string,
    { exact, sealed = false, progress, most }: Alike & { progress?: TransferProgress; most?: number },
  ): Promise<boolean> {
    const copy = copyAt(this.#options.scratch, path);
    if (copy === undefined) return true;
    const { signal } = this.#options;
    return await pull(await this.#storeOf(copy), this.#copyOf(copy), {
      signal,
      exact,
      sealed,
      progress,
      most,
    });
  }

  /**
   * The same for a single small file, at a place where others may write: a manifest, a signature, a result.
   * @throws OffsiteError BadModel where it is longer than any of them
   */
  async pullDocument(path: string): Promise<void> {
    await this.pull(path, { exact: true, most: largestDocument });
  }

  /**
   * The bytes of such a file in a store, where it still is what was seen: the copy here stays as it is.
   * @throws StoreError, `Changed` where it is another or gone; OffsiteError BadModel where files lie below its name, too
   */
  async read(path: string, version: string): Promise<Uint8Array> {
    const { scratch = '', signal } = this.#options;
    const copy = copyAt(scratch, path) as Copy;
    // Nothing may have been brought there so far.
    mkdirSync(scratch, { recursive: true });
    const apart = mkdtempSync(join(scratch, '.read-'));
    try {
      const read = new StoreCopy(apart, copy);
      const file = read.fileOf(itself);
      await pull(await this.#storeOf(copy), read, { signal, exact: true, most: largestDocument });
      if (statSync(file, { throwIfNoEntry: false })?.isDirectory())
        throw badModel(`${read.describe('')}: is no plain file`);
      if (readNote(read.noteOf(itself))?.version !== version)
        throw new StoreError('Changed', `${read.describe('')}: was changed while it was looked at`);
      return readFileSync(file);
    } finally {
      rmSync(apart, { recursive: true, force: true });
    }
  }

  /** The files that a path has: in its store, each with its version, or here, where none has one; a single one has an empty name. */
  async look(path: string): Promise<Seen> {
    const copy = copyAt(this.#options.scratch, path);
    if (copy !== undefined) {
      const stored = await (await this.#storeOf(copy)).list(copy.place, this.#options.signal);
      return new Map(stored.map(({ path: name, version }) => [name, version]));
    }
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat === undefined) return new Map();
    return new Map((stat.isDirectory() ? filesIn(path) : ['']).map((name) => [name, '']));
  }

  /** In which version a path's file lies in its store, and by which push it came there, where that is known. */
  async written(path: string): Promise<Written | undefined> {
    const copy = copyAt(this.#options.scratch, path);
    if (copy === undefined) return undefined;
    return await (await this.#writableStoreOf(copy)).written(copy.place, this.#options.signal);
  }

  /** Where a lock on a path is kept: where the path itself is. @throws OffsiteError BadSpec where nothing can be written */
  async lockAt(path: string): Promise<LockPlace> {
    const copy = copyAt(this.#options.scratch, path);
    return copy === undefined
      ? new DiskLock(path)
      : new StoreLock(await this.#writableStoreOf(copy), copy.place);
  }

  /**
   * Brings a path to its store; a seal such as manifest.json comes last.
   * @param removable what may be removed of what the store has and the path has not; all of it when absent
   * @param seen what the store was seen to have; what came since is neither written over nor removed
   * @param stands whether the manifest that was seen has the bytes of the path's: what is the same stays, and the manifest in any case
   * @param writer the mark of what comes up, by which it is known again (`written`); one of this push alone when absent
   * @returns what came since, and stays beside what was brought
   * @throws StoreError, `Changed` where something came since; what `beforePush` throws
   */
  async push(
    path: string,
    { exact }: Alike,
    {
      signal = this.#options.signal,
      removable,
      seen,
      stands,
      writer,
    }: {
      signal?: AbortSignal;
      removable?: readonly string[];
      seen?: Seen;
      stands?: boolean;
      writer?: string;
    } = {},
  ): Promise<readonly string[]> {
    const copy = copyAt(this.#options.scratch, path);
    if (copy === undefined) return [];
    const store = await this.#writableStoreOf(copy);
    const { beforePush: mayChange } = this.#options;
    await mayChange?.();
    const lost = this.#options.lost?.();
    const either = lost === undefined ? signal : AbortSignal.any([signal, lost]);
    try {
      return await push(store, this.#copyOf(copy), {
        signal: either,
        exact,
        removable,
        seen,
        stands,
        writer,
        mayChange,
      });
    } catch (error) {
      throw lost?.aborted ? lost.reason : error;
    }
  }

  async #writableStoreOf(copy: Copy): Promise<WritableStore> {
    const store = await this.#storeOf(copy);
    if (!isWritable(store)) throw badSpec(`${copy.scheme}://${copy.place}: can only be read`);
    return store;
  }

  /**
   * The same in the background, several times if need be. A path that changes while it is brought is brought again.
   * @param failed told why the store has not got it, after the last try
   */
  pushLater(path: string, what: Alike, failed: (error: unknown) => void): void {
    const running = this.#pushing.get(path);
    if (running !== undefined) {
      running.again = true;
      return;
    }
    const state = { again: false, done: Promise.resolve() };
    this.#pushing.set(path, state);
    state.done = (async () => {
      do {
        state.again = false;
        await this.#pushPatiently(path, what, () => state.again).catch(failed);
      } while (state.again);
      this.#pushing.delete(path);
    })();
  }

  /** Resolves when no background push is under way. */
  async settled(): Promise<void> {
    await Promise.all([...this.#pushing.values()].map(({ done }) => done));
  }

  async #pushPatiently(path: string, what: Alike, outdated: () => boolean): Promise<void> {
    // A push goes on when the work is stopped: what was saved last is to be stored.
    const signal = new AbortController().signal;
    for (const pause of [...pauses, undefined]) {
      try {
        await this.push(path, what, { signal });
        return;
      } catch (error) {
        if (pause === undefined || this.#options.lost?.()?.aborted) throw error;
        if (outdated()) return;
        await sleep(pause);
      }
    }
  }

  #copyOf(copy: Copy): StoreCopy {
    return new StoreCopy(this.#options.scratch as string, copy);
  }

  #storeOf({ scheme, secret }: Copy): Promise<Store> {
    const key = `${scheme}/${secret ?? ''}`;
    const known = this.#stores.get(key) ?? this.#open(scheme, secret);
    this.#stores.set(key, known);
    return known;
  }

  async #open(scheme: Copy['scheme'], secret: string | undefined): Promise<Store> {
    const { secrets, environment } = this.#options;
    return await openStore(scheme, readCredentials(secret, secrets, environment), environment);
  }
}

const isWritable = (store: Store): store is WritableStore => 'write' in store;
