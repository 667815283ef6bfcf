/** Whether NATS counts as away: only after a while, so that a hiccup is no news. */
import type { Reports } from './jobs/index.ts';

const patienceMilliseconds = 5000;
const lookMilliseconds = 1000;

export class NatsConnection {
  readonly #reports: Reports | undefined;
  #heardAt = performance.now();

  /** @param reports absent where there is no NATS */
  constructor(reports: Reports | undefined) {
    this.#reports = reports;
  }

  /** Undefined where there is no NATS. */
  get heard(): boolean | undefined {
    if (this.#reports === undefined) return undefined;
    if (this.#reports.connected) this.#heardAt = performance.now();
    return performance.now() - this.#heardAt < patienceMilliseconds;
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
}
