// The reconcile loop: workers that take keys from a queue, with backoff for each key.
import { ApiError, isConflict } from '../api/api-error.ts';
import { backoffAfter } from '../backoff.ts';
import { type Log, operatorLog, toldOf } from '../log.ts';
import type { RuntimeMetrics } from '../metrics.ts';
import { inReconcile } from '../reconcile.ts';
import { type Because, WorkQueue } from './work-queue.ts';

export interface Outcome {
  /** Look at this key again after so long, though nothing may have changed. */
  requeueAfterMilliseconds?: number;
}

export interface ControllerOptions {
  /** Of metrics and log lines. */
  name: string;
  /** How many keys are worked on at once; 4. */
  concurrency?: number;
  /** Brings the world closer to what the object of this key asks for. Throwing means: again, later. */
  // biome-ignore lint/suspicious/noConfusingVoidType: a reconcile that returns nothing is the common case
  reconcile: (key: string) => Promise<Outcome | void>;
  /** Waits after errors in a row, for one key; 0.2 s to 60 s. */
  backoff?: { first: number; longest: number };
  metrics?: RuntimeMetrics;
  log?: Log;
}

/**
 * Calls `reconcile` for keys: one flight a key, many keys at once, errors waited out with growing pauses.
 * @example
 * const controller = new Controller({ name: 'emulatorbuild', concurrency: 4, reconcile });
 * informer.onChange((object, old) => controller.enqueue(keyOf((object ?? old)!)));
 * await controller.run(signal);
 */
export class Controller {
  readonly #options: ControllerOptions;
  readonly #log: Log;
  readonly #queue: WorkQueue;
  readonly #failures = new Map<string, number>();

  constructor(options: ControllerOptions) {
    this.#options = options;
    this.#log = options.log ?? operatorLog;
    const seconds = options.metrics?.queueSeconds.labels(options.name);
    this.#queue = new WorkQueue((milliseconds) => seconds?.observe(milliseconds / 1000));
  }

  /** Keys may come before `run`; they wait. Those that are only listed stand behind those that have changed. */
  enqueue(key: string, because: Because = 'changed'): void {
    this.#queue.add(key, because);
    this.#gauge();
  }

  /** Of several such calls for one key, the earliest time counts. */
  enqueueAfter(key: string, milliseconds: number): void {
    this.#queue.addAfter(key, milliseconds);
  }

  /** Works until the signal aborts; resolves when the last flight has landed. */
  async run(signal: AbortSignal): Promise<void> {
    const stop = () => this.#queue.close();
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    const { concurrency = 4 } = this.#options;
    await Promise.all(Array.from({ length: concurrency }, () => this.#work()));
    signal.removeEventListener('abort', stop);
  }

  async #work(): Promise<void> {
    for (let key = await this.#queue.take(); key !== undefined; key = await this.#queue.take()) {
      this.#gauge();
      const start = performance.now();
      const result = await inReconcile({ controller: this.#options.name, key }, () => this.#flight(key));
      this.#queue.done(key);
      this.#gauge();
      const { metrics, name } = this.#options;
      metrics?.reconciles.labels(name, result).inc();
      metrics?.reconcileSeconds.labels(name).observe((performance.now() - start) / 1000);
    }
  }

  async #flight(key: string): Promise<'success' | 'requeue' | 'error'> {
    try {
      const outcome = await this.#options.reconcile(key);
      this.#failures.delete(key);
      if (outcome?.requeueAfterMilliseconds === undefined) return 'success';
      this.#queue.addAfter(key, outcome.requeueAfterMilliseconds);
      return 'requeue';
    } catch (error) {
      this.#failed(key, error);
      return 'error';
    }
  }

  #failed(key: string, error: unknown): void {
    const { name, backoff = { first: 200, longest: 60_000 } } = this.#options;
    const failures = (this.#failures.get(key) ?? 0) + 1;
    this.#failures.set(key, failures);
    const asked = error instanceof ApiError ? (error.retryAfterSeconds ?? 0) * 1000 : 0;
    const wait = Math.max(asked, backoffAfter(failures, backoff));
    this.#queue.addAfter(key, wait);
    const fields = { controller: name, key, failures, retryMilliseconds: Math.round(wait), ...toldOf(error) };
    // A conflict only says that somebody else was faster.
    if (isConflict(error)) this.#log.debug(fields, 'reconcile met a conflict; trying again');
    else this.#log.warn({ ...fields, ...stackOf(error) }, 'reconcile failed; trying again');
  }

  #gauge(): void {
    const { metrics, name } = this.#options;
    metrics?.queueLength.labels(name).set(this.#queue.length);
    metrics?.activeReconciles.labels(name).set(this.#queue.inWork);
  }
}

/** An error that is not the API server's is a fault of ours: where it came from is worth a line. */
const stackOf = (error: unknown) =>
  error instanceof Error && !(error instanceof ApiError) ? { stack: error.stack } : {};
