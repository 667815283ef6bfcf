// Informers: reads are served from a local cache, which list and watch keep up to date.
import { ApiError, isGone } from '../api/api-error.ts';
import type { ApiClient } from '../api/client.ts';
import { isNewer, type KubeObject, type ResourceType } from '../api/objects.ts';
import { backoffAfter } from '../backoff.ts';
import { type Log, operatorLog, toldOf } from '../log.ts';
import type { RuntimeMetrics } from '../metrics.ts';
import { pause } from '../pause.ts';
import { type Change, type Indexes, Store } from './store.ts';

export interface InformerOptions<T extends KubeObject> {
  /** Without it, all namespaces. */
  namespace?: string;
  labelSelector?: string;
  /** By name, the values under which an object is found again with `byIndex`. */
  indexes?: Indexes<T>;
  /** Takes away what nobody reads, before an object is kept; managedFields are never kept. */
  shorten?: (object: T) => T;
  /** A watch that says nothing for this long is taken for broken; 150 s (bookmarks come every minute). */
  silenceMilliseconds?: number;
  /** After this time the whole list is read again, in case an event was lost on the way; 10 minutes. */
  relistMilliseconds?: number;
  /** The waits after failures. */
  backoff?: { first: number; longest: number };
  pageSize?: number;
  metrics?: RuntimeMetrics;
  log?: Log;
}

type Listener<T> = (object: T | undefined, old: T | undefined) => void;

/** So many failed watches in a row, and the list is read again: the version may be one that the server never had. */
const failuresBeforeList = 3;
/** How many times fewer pages a list is read by whose pages expired meanwhile. */
const fewerPages = 20;
/** A watch that ends sooner than this and said nothing counts as failed. */
const shortestWatchMilliseconds = 1000;

/**
 * A cache of one kind's objects that follows the API server: list, then watch from there, resumed where it broke.
 * Nothing ends it but its signal: errors, lost connections and expired versions are waited out.
 * Cached objects are shared (never change them) and carry no managedFields.
 * @example
 * const informer = new Informer<Job>(client, jobs, { indexes: { owner: ownerUids } });
 * informer.onChange((job, old) => controller.enqueue(ownerKey((job ?? old)!)));
 * informer.start(signal);
 * await informer.synced;
 */
export class Informer<T extends KubeObject> {
  /** Fulfilled after the first list has reached the listeners; rejected if the signal aborts before. */
  readonly synced: Promise<void>;
  /** As `synced`, but fulfilled as well when the list was refused as not for us (403, 404). */
  readonly settled: Promise<void>;
  readonly #client: ApiClient;
  readonly #type: ResourceType;
  readonly #options: InformerOptions<T>;
  readonly #log: Log;
  readonly #relistMilliseconds: number;
  readonly #store: Store<T>;
  readonly #listeners: Listener<T>[] = [];
  readonly #synced = Promise.withResolvers<void>();
  readonly #settled = Promise.withResolvers<void>();
  #hasSynced = false;
  #isRefused = false;
  #listedAt = Number.NEGATIVE_INFINITY;
  #failures = 0;
  #counted = 0;
  /** Cuts off the watch or the wait that is under way, to list at once. */
  #interrupt = new AbortController();
  #refreshing: PromiseWithResolvers<void> | undefined;

  constructor(client: ApiClient, type: ResourceType, options: InformerOptions<T> = {}) {
    this.#client = client;
    this.#type = type;
    this.#options = options;
    this.#log = options.log ?? operatorLog;
    this.#relistMilliseconds = options.relistMilliseconds ?? 600_000;
    this.#store = new Store(options.indexes);
    this.synced = this.#synced.promise;
    this.synced.catch(() => {});
    this.settled = this.#settled.promise;
    this.settled.catch(() => {});
  }

  get hasSynced(): boolean {
    return this.#hasSynced;
  }

  /** Whether the API server's last answer was that this list is not for us: a namespace that is gone took our rights with it. */
  get isRefused(): boolean {
    return this.#isRefused;
  }

  /** Follows the API server until the signal aborts. */
  async start(signal: AbortSignal): Promise<void> {
    let version: string | undefined;
    while (!signal.aborted) {
      const interrupt = AbortSignal.any([signal, this.#interrupt.signal]);
      try {
        version = await this.#listed(version, signal);
        version = await this.#watch(version, interrupt);
      } catch (error) {
        if (signal.aborted) break;
        if (interrupt.aborted) continue;
        version = this.#resumeAfter(error, version);
        await pause(this.#waitAfter(error), interrupt);
      }
    }
    this.#synced.reject(signal.reason);
    this.#settled.reject(signal.reason);
    this.#refreshing?.resolve();
  }

  /** Reads the list again at once. Resolves when that is done, is refused as not for us, or `start` has ended. */
  refresh(): Promise<void> {
    if (this.#refreshing === undefined) {
      this.#refreshing = Promise.withResolvers<void>();
      this.#interrupt.abort();
      this.#interrupt = new AbortController();
    }
    return this.#refreshing.promise;
  }

  get(namespace: string | undefined, name: string): T | undefined {
    return this.#store.get(namespace, name);
  }

  list(): T[] {
    return this.#store.list();
  }

  /** @throws for an index that was not declared */
  byIndex(index: string, value: string): T[] {
    return this.#store.byIndex(index, value);
  }

  /** Told of every change after the cache has it: added (no old), changed (both), deleted (no object). */
  onChange(listener: Listener<T>): void {
    this.#listeners.push(listener);
  }

  get #listIsOld(): boolean {
    return performance.now() - this.#listedAt > this.#relistMilliseconds;
  }

  /** The version to watch from; the list is read before where there is none, it is old, or somebody wants it fresh. */
  async #listed(version: string | undefined, signal: AbortSignal): Promise<string> {
    if (version !== undefined && !this.#listIsOld && this.#refreshing === undefined) return version;
    try {
      return await this.#list(signal);
    } catch (error) {
      // A list that only was to make sure keeps no good watch away; it is tried again after that.
      if (signal.aborted || version === undefined || this.#refreshing !== undefined) throw error;
      this.#log.warn({ kind: this.#type.kind, ...toldOf(error) }, 'list failed; going on with the watch');
      return version;
    }
  }

  /** Reads the whole list and tells the differences. @returns the version to watch from */
  async #list(signal: AbortSignal): Promise<string> {
    const refreshing = this.#refreshing;
    try {
      const { items, version } = await this.#pages(signal);
      this.#isRefused = false;
      this.#listedAt = performance.now();
      this.#options.metrics?.lists.labels(this.#type.kind).inc();
      this.#tell(this.#store.replace(items));
      this.#hasSynced = true;
      this.#synced.resolve();
      this.#settled.resolve();
      this.#refreshed(refreshing);
      return version;
    } catch (error) {
      if (error instanceof ApiError && [403, 404].includes(error.status)) {
        this.#isRefused = true;
        this.#settled.resolve();
        this.#refreshed(refreshing);
      }
      throw error;
    }
  }

  #refreshed(refreshing: PromiseWithResolvers<void> | undefined): void {
    if (refreshing === undefined) return;
    this.#refreshing = undefined;
    refreshing.resolve();
  }

  async #pages(signal: AbortSignal): Promise<{ items: T[]; version: string }> {
    const { pageSize = 500 } = this.#options;
    try {
      return await this.#read(pageSize, signal);
    } catch (error) {
      if (!isGone(error)) throw error;
      // The list changed too much while its pages were read: by fewer ones, never by one answer of any size.
      return await this.#read(pageSize * fewerPages, signal);
    }
  }

  async #read(limit: number, signal: AbortSignal): Promise<{ items: T[]; version: string }> {
    const { namespace, labelSelector } = this.#options;
    const items: T[] = [];
    let next: string | undefined;
    do {
      const scope = { namespace, labelSelector, signal, limit, continue: next };
      const page = await this.#client.list<T>(this.#type, scope);
      for (const item of page.items) items.push(this.#shortened(item));
      next = page.metadata.continue;
      if (!next) return { items, version: page.metadata.resourceVersion };
    } while (!signal.aborted);
    throw signal.reason;
  }

  /** Follows one watch to its end. @returns the version to resume from; undefined to read the list again */
  async #watch(from: string, signal: AbortSignal): Promise<string | undefined> {
    const { namespace, labelSelector, silenceMilliseconds = 150_000 } = this.#options;
    const startedAt = performance.now();
    // Watches of many informers shall not all end together.
    const timeoutSeconds = Math.ceil((this.#relistMilliseconds / 1000) * (0.5 + Math.random() / 2));
    const events = this.#client.watch<T>(this.#type, {
      namespace,
      labelSelector,
      resourceVersion: from,
      timeoutSeconds,
      silenceMilliseconds,
      signal,
    });
    let version = from;
    let heard = false;
    try {
      for await (const event of events) {
        heard = true;
        const { resourceVersion } = event.object.metadata;
        if (event.type !== 'BOOKMARK')
          this.#tell(this.#store.take({ ...event, object: this.#shortened(event.object) }));
        if (resourceVersion !== version && !isNewer(resourceVersion, version)) {
          // A server sends its events in order; where this does not hold, one may be missing.
          this.#ended('disorder');
          return undefined;
        }
        version = resourceVersion ?? version;
      }
    } catch (error) {
      throw new BrokenWatch(error, version);
    } finally {
      if (heard || performance.now() - startedAt > shortestWatchMilliseconds) this.#failures = 0;
    }
    if (!heard && performance.now() - startedAt < shortestWatchMilliseconds) {
      throw new BrokenWatch(new Error(`watch ${this.#type.kind}: ended at once`), version);
    }
    this.#ended('closed');
    return version;
  }

  /** Notes what went wrong. @returns the version to watch from, undefined to read the list again */
  #resumeAfter(error: unknown, listed: string | undefined): string | undefined {
    this.#failures += 1;
    const cause = error instanceof BrokenWatch ? error.cause : error;
    const fields = { kind: this.#type.kind, failures: this.#failures, ...toldOf(cause) };
    if (!(error instanceof BrokenWatch)) {
      this.#log.warn(fields, 'list failed; trying again');
      return listed;
    }
    const gone = isGone(cause);
    this.#ended(gone ? 'gone' : cause instanceof ApiError && cause.reason === 'Timeout' ? 'silent' : 'error');
    this.#log.info(fields, 'watch broke; taking it up again');
    const refused =
      cause instanceof ApiError && cause.status >= 400 && cause.status < 500 && cause.status !== 429;
    return gone || refused || this.#failures >= failuresBeforeList ? undefined : error.version;
  }

  /** The first break of a watch that had worked is mended at once. */
  #waitAfter(error: unknown): number {
    const { backoff = { first: 500, longest: 30_000 } } = this.#options;
    const cause = error instanceof BrokenWatch ? error.cause : error;
    const asked = cause instanceof ApiError ? (cause.retryAfterSeconds ?? 0) * 1000 : 0;
    const free = error instanceof BrokenWatch ? 1 : 0;
    return Math.max(asked, backoffAfter(this.#failures - free, backoff));
  }

  #shortened(object: T): T {
    const { shorten = (whole: T) => whole } = this.#options;
    return shorten(withoutManagedFields(object));
  }

  #tell(changes: readonly Change<T>[]): void {
    // Several informers of a kind, one a namespace, share the figure.
    this.#options.metrics?.cachedObjects.labels(this.#type.kind).inc(this.#store.size - this.#counted);
    this.#counted = this.#store.size;
    for (const { object, old } of changes) {
      for (const listener of this.#listeners) {
        try {
          listener(object, old);
        } catch (error) {
          this.#log.error({ kind: this.#type.kind, ...toldOf(error) }, 'a listener failed');
        }
      }
    }
  }

  #ended(reason: string): void {
    this.#options.metrics?.watchEnds.labels(this.#type.kind, reason).inc();
  }
}

/** A watch that failed, and how far it had come. */
class BrokenWatch extends Error {
  readonly version: string;

  constructor(cause: unknown, version: string) {
    super('watch broke', { cause });
    this.version = version;
  }
}

/** They are the larger half of many objects, and no reconciler reads them. */
function withoutManagedFields<T extends KubeObject>(object: T): T {
  delete object.metadata['managedFields'];
  return object;
}
