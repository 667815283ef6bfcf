// The work queue of a controller: deduplicated, delayed, and fair between changes and resyncs.

/** Longer waits than a timer can count are cut; looking too early does no harm. */
const longestWaitMilliseconds = 24 * 3600 * 1000;

/** Why a key comes: something has changed, or all keys are gone through. */
export type Because = 'changed' | 'listed';

/** Of so many keys that are taken while both wait, one is a listed one: whatever changes, those come to their turn. */
const listedShare = 8;

/**
 * Keys to be worked on, each at most once in the queue and at most once in work. A key that is added while it is in work
 * comes back when that is done. Order is first come, first served, where listed keys stand behind those that have changed.
 */
export class WorkQueue {
  /** Waiting keys and when they came (performance.now()). */
  readonly #ready: Readonly<Record<Because, Map<string, number>>> = { changed: new Map(), listed: new Map() };
  /** How many were taken since a listed one, while such waited. */
  #passedOver = 0;
  readonly #inWork = new Set<string>();
  /** Keys added while in work. */
  readonly #again = new Map<string, Because>();
  readonly #delayed = new Map<string, { due: number; timer: NodeJS.Timeout }>();
  readonly #takers: ((key: string | undefined) => void)[] = [];
  readonly #waited: (milliseconds: number) => void;
  #closed = false;

  /** @param waited told, for each key taken, how long it was waiting */
  constructor(waited: (milliseconds: number) => void = () => {}) {
    this.#waited = waited;
  }

  /** Keys that could be taken now. */
  get length(): number {
    return this.#ready.changed.size + this.#ready.listed.size;
  }

  get inWork(): number {
    return this.#inWork.size;
  }

  add(key: string, because: Because = 'changed'): void {
    if (this.#closed || this.#ready.changed.has(key)) return;
    if (this.#inWork.has(key)) {
      if (because === 'changed' || !this.#again.has(key)) this.#again.set(key, because);
      return;
    }
    const since = this.#ready.listed.get(key);
    if (since !== undefined && because === 'listed') return;
    this.#ready.listed.delete(key);
    this.#ready[because].set(key, since ?? performance.now());
    this.#hand();
  }

  /** Adds the key after a time; of several such times the earliest counts. */
  addAfter(key: string, milliseconds: number): void {
    if (this.#closed) return;
    if (!(milliseconds > 0)) {
      this.add(key);
      return;
    }
    const wait = Math.min(milliseconds, longestWaitMilliseconds);
    const due = performance.now() + wait;
    const earlier = this.#delayed.get(key);
    if (earlier !== undefined && earlier.due <= due) return;
    clearTimeout(earlier?.timer);
    const timer = setTimeout(() => {
      this.#delayed.delete(key);
      this.add(key);
    }, wait);
    this.#delayed.set(key, { due, timer });
  }

  /** The next key, which is in work until `done`; undefined once the queue is closed. */
  take(): Promise<string | undefined> {
    if (this.#closed) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      this.#takers.push(resolve);
      this.#hand();
    });
  }

  done(key: string): void {
    this.#inWork.delete(key);
    const because = this.#again.get(key);
    this.#again.delete(key);
    if (because !== undefined) this.add(key, because);
  }

  /** No more keys, now or later; what is in work stays so until `done`. */
  close(): void {
    this.#closed = true;
    for (const { timer } of this.#delayed.values()) clearTimeout(timer);
    this.#delayed.clear();
    this.#ready.changed.clear();
    this.#ready.listed.clear();
    this.#again.clear();
    for (const taker of this.#takers.splice(0)) taker(undefined);
  }

  #hand(): void {
    while (this.#takers.length > 0 && this.length > 0) {
      const ready = this.#ready[this.#next()];
      const [key, since] = ready.entries().next().value!;
      ready.delete(key);
      this.#inWork.add(key);
      this.#waited(performance.now() - since);
      this.#takers.shift()!(key);
    }
  }

  #next(): Because {
    const { changed, listed } = this.#ready;
    const isTheirTurn = changed.size === 0 || this.#passedOver >= listedShare - 1;
    const next = listed.size > 0 && isTheirTurn ? 'listed' : 'changed';
    this.#passedOver = next === 'listed' || listed.size === 0 ? 0 : this.#passedOver + 1;
    return next;
  }
}
