// Time without clock skew between this process and the cluster.

/**
 * The API server's time. Objects carry the times of the cluster, and this machine's clock may be minutes from them: an age is
 * the difference of two times of one clock.
 */
export class ServerClock {
  readonly #local: () => number;
  #offset = 0;

  constructor(local: () => number = Date.now) {
    this.#local = local;
  }

  /** Milliseconds since the epoch; this machine's own time until an answer has come. */
  now(): number {
    return this.#local() + this.#offset;
  }

  /** This machine's time, for `heard`. */
  local(): number {
    return this.#local();
  }

  /**
   * Takes the Date header of an answer: it was made after the request was sent, and before the answer was there. The
   * difference stays as it is while it explains what is heard, for a header tells whole seconds.
   * @param sentAt when the request was sent, by `local`
   */
  heard(date: string | undefined, sentAt: number): void {
    const second = Date.parse(date ?? '');
    if (Number.isNaN(second)) return;
    const least = second - this.#local();
    const most = second + 999 - sentAt;
    this.#offset = Math.min(Math.max(this.#offset, least), Math.max(least, most));
  }
}
