// Transfers and locks for the compute thread, by messages to the main thread.
import type { MessagePort } from 'node:worker_threads';
import type { Alike, Keeper } from '../../artifact/index.ts';
import { ToldFailure } from '../outcome.ts';
import type { Answer, KeepRequest, ThreadMessage } from './messages.ts';

/** The compute thread's keeper: asks the main thread, whose event loop is free, and waits for its answer. */
export class AskingKeeper implements Keeper {
  readonly #port: MessagePort | null;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  #asked = 0;

  constructor(port: MessagePort | null) {
    this.#port = port;
    port?.on('message', (answer: Answer) => this.#waiting.get(answer.ask)?.(answer));
  }

  pull(path: string, alike: Alike): Promise<void> {
    return this.#ask({ what: 'pull', path, alike });
  }

  push(path: string, alike: Alike): Promise<void> {
    return this.#ask({ what: 'push', path, alike });
  }

  pushLater(path: string, alike: Alike): void {
    this.#post({ what: 'pushLater', path, alike });
  }

  held(): Promise<void> {
    return this.#ask({ what: 'held' });
  }

  claim(digest: string): Promise<void> {
    return this.#ask({ what: 'claim', digest });
  }

  /** Lets the thread end. */
  close(): void {
    this.#port?.unref();
  }

  #ask(request: KeepRequest): Promise<void> {
    return new Promise((resolve, reject) => {
      const ask = this.#post(request);
      this.#waiting.set(ask, ({ failure }) => {
        this.#waiting.delete(ask);
        if (failure === undefined) resolve();
        else reject(new ToldFailure(failure));
      });
    });
  }

  #post(request: KeepRequest): number {
    const ask = ++this.#asked;
    this.#port?.postMessage({ ask, request } satisfies ThreadMessage);
    return ask;
  }
}
