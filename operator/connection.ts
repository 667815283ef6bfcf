/** Whether NATS counts as away: only after a while, so that a hiccup is no news. */
import type { Reports } from './jobs/index.ts';

const patienceMilliseconds = 5000;
const lookMilliseconds = 1000;

export class NatsConnection {
  readonly #reports: Reports | undefined;
  #heardAt = performance.now();
  /** Since when it was heard without a break, as far as one looked. */
  #heardSince: number | undefined;

  /** @param reports absent where there is no NATS */
  constructor(reports: Reports | undefined) {
    this.#reports = reports;
  }

  /** Undefined where there is no NATS. */
  get heard(): boolean | undefined {
    if (this.#reports === undefined) return undefined;
    this.#look(this.#reports);
    return performance.now() - this.#heardAt < patienceMilliseconds;
  }

  /** For how long it was heard without a break: so long everything that was sent before had time to arrive. */
  get heardMilliseconds(): number | undefined {
    if (this.#reports === undefined) return undefined;
    this.#look(this.#reports);
    return this.#heardSince === undefined ? 0 : performance.now() - this.#heardSince;
  }

  /** Listening begins: until now nobody has tried to hear it. */
  begin(): void {
    this.#heardAt = performance.now();
    this.#heardSince = undefined;
  }

  /** Calls `changed` each time that NATS goes or comes back, until the signal aborts. */
  async watch(signal: AbortSignal, changed: () => void): Promise<void> {
    if (this.#reports === undefined) return;
    let before = this.heard;
    await new Promise<void>((resolve) => {
      const timer = setInterval(() => {
        const now = this.heard;
        if (now !== before) changed();
        before = now;
      }, lookMilliseconds);
      signal.addEventListener('abort', () => {
        clearInterval(timer);
        resolve();
      });
      if (signal.aborted) {
        clearInterval(timer);
        resolve();
      }
    });
  }

  #look({ connected }: Reports): void {
    const now = performance.now();
    if (connected) {
      this.#heardAt = now;
      this.#heardSince ??= now;
    } else this.#heardSince = undefined;
  }
}
