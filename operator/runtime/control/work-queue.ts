/** Longer waits than a timer can count are cut; looking too early does no harm. */
const longestWaitMilliseconds = 24 * 3600 * 1000;

/**
 * Keys to be worked on, each at most once in the queue and at most once in work. A key that is added while it is in work
 * comes back when that is done. Order is first come, first served.
 */
export class WorkQueue {
  /** Waiting keys and when they came (performance.now()). */
  readonly #ready = new Map<string, number>();
  readonly #inWork = new Set<string>();
  /** Keys added while in work. */
  readonly #again = new Set<string>();
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
    return this.#ready.size;
  }

  get inWork(): number {
    return this.#inWork.size;
  }

  add(key: string): void {
    if (this.#closed || this.#ready.has(key)) return;
    if (this.#inWork.has(key)) {
      this.#again.add(key);
      return;
    }
    this.#ready.set(key, performance.now());
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
    if (this.#again.delete(key)) this.add(key);
  }

  /** No more keys, now or later; what is in work stays so until `done`. */
  close(): void {
    this.#closed = true;
    for (const { timer } of this.#delayed.values()) clearTimeout(timer);
    this.#delayed.clear();
    this.#ready.clear();
    this.#again.clear();
    for (const taker of this.#takers.splice(0)) taker(undefined);
  }

  #hand(): void {
    while (this.#takers.length > 0 && this.#ready.size > 0) {
      const [key, since] = this.#ready.entries().next().value!;
      this.#ready.delete(key);
      this.#inWork.add(key);
      this.#waited(performance.now() - since);
      this.#takers.shift()!(key);
    }
  }
}
