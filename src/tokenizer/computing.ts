// The parent's side of the tokenizer process: requests one by one, each with its limits.
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { badModel, cancelled, printable } from '../api/index.ts';
import type { Message, Order, Reply, Request } from './program/messages.ts';

/** What a request may take. */
export interface Limits {
  /** Seconds of computing for a request, beside one second for every 64 KiB of text. */
  readonly seconds: number;
  /** Bytes of the process's memory. */
  readonly memory: number;
}

const defaultLimits: Limits = {
  seconds: 30,
  memory: Math.min(
    2 * 2 ** 30,
    Math.max(2 ** 28, (process.constrainedMemory() || Number.POSITIVE_INFINITY) / 2),
  ),
};
const textASecond = 2 ** 16;
/** How much of the time between two looks counts as waiting. */
const mostMilliseconds = 1000;

export interface ComputingOptions {
  /** tokenizer.json's path, for messages. */
  readonly file: string;
  /** Whether the work is no longer wanted: the process is ended at once. */
  readonly cancelled?: (() => boolean) | undefined;
  readonly limits?: Limits | undefined;
}

/**
 * A process of its own for tokenizers and chat templates that came from outside. The reference library ends the process
 * that it runs in where a pattern gives up, and a native loop can be ended in no other way than with its process.
 */
export class Computing {
  readonly #options: ComputingOptions;
  readonly #child: ChildProcess;
  /** Why it could not be started. */
  #failure: Error | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: ComputingOptions) {
    this.#options = options;
    this.#child = fork(fileURLToPath(new URL('./program/main.ts', import.meta.url)), {
      execArgv: [],
      // Nothing of ours: there may be keys in the environment. The library's own threads would be as many as the machine's.
      env: { RAYON_NUM_THREADS: '1', TOKENIZERS_PARALLELISM: 'false' },
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    this.#child.on('error', (error) => {
      this.#failure ??= error;
    });
  }

  /**
   * @param text characters that the request computes on
   * @throws OffsiteError BadModel naming the tokenizer or its template where it fails, or takes more than it may; Cancelled
   */
  async request(request: Request, text: number): Promise<Reply> {
    const mine = this.#last.then(() => this.#send(request, text));
    this.#last = mine.catch(() => {});
    return mine;
  }

  /** Ends the process, whatever it does. */
  close(): void {
    this.#child.kill('SIGKILL');
  }

  async #send(request: Request, text: number): Promise<Reply> {
    const { limits = defaultLimits, cancelled: isCancelled = () => false } = this.#options;
    if (isCancelled()) throw cancelled('stopped on request');
    const seconds = limits.seconds + Math.ceil(text / textASecond);
    const message = await this.#answer({ request, seconds, memory: limits.memory }, isCancelled);
    if ('exceeded' in message) throw this.#tooMuch(request, message.exceeded, { ...limits, seconds });
    if ('failed' in message)
      throw badModel(
        `${this.#options.file}: ${subject(request)} cannot be used: ${printable(message.failed.slice(0, 300))}`,
      );
    return message;
  }

  #answer(order: Order, isCancelled: () => boolean): Promise<Message> {
    const child = this.#child;
    return new Promise((resolve, reject) => {
      let seen = performance.now();
      let waited = 0;
      const watch = setInterval(() => {
        const now = performance.now();
        // Where this process, or its whole machine, stood still, the other one did, too: that is nobody's fault.
        waited += Math.min(now - seen, mostMilliseconds);
        seen = now;
        // The process watches itself by the time that it computes; this is for one that cannot even do that.
        const late = waited > order.seconds * 20_000;
        if (!late && !isCancelled()) return;
        child.kill('SIGKILL');
        end(() => (late ? resolve({ exceeded: 'time' }) : reject(cancelled('stopped on request'))));
      }, 50);
      const onMessage = (message: Message) => end(() => resolve(message));
      const onExit = (_: number | null, signal: NodeJS.Signals | null) =>
        end(() => reject(this.#ended(order.request, signal)));
      const onError = (error: Error) => end(() => reject(error));
      const end = (settle: () => void) => {
        clearInterval(watch);
        child.off('message', onMessage).off('exit', onExit).off('error', onError);
        settle();
      };
      child.on('message', onMessage).on('exit', onExit).on('error', onError);
      if (this.#failure !== undefined) onError(this.#failure);
      else if (child.exitCode !== null || child.signalCode !== null) onExit(child.exitCode, child.signalCode);
      // One that could not be started has no channel; its error is on the way.
      else if ('send' in child)
        child.send(order, (error) => error && child.exitCode === null && child.kill('SIGKILL'));
    });
  }

  #tooMuch(request: Request, what: 'time' | 'memory', { seconds, memory }: Limits): Error {
    const { file } = this.#options;
    return badModel(
      what === 'time'
        ? `${file}: ${subject(request)} was ended after ${seconds} s of computing: ${endless[request.what]}`
        : `${file}: ${subject(request)} was ended at ${Math.round(memory / 2 ** 20)} MiB of memory`,
    );
  }

  /** Killed from outside it may work another time; ended by itself it will do so again. */
  #ended(request: Request, signal: NodeJS.Signals | null): Error {
    const { file } = this.#options;
    if (signal === 'SIGKILL')
      return new Error(
        `${file}: the process that computes ${subject(request)} was killed; it may need more memory`,
      );
    return badModel(
      `${file}: ${subject(request)} cannot be used: the tokenizers library breaks off on it (${signal ?? 'exit'})`,
    );
  }
}

const subject = ({ what }: Request) => (what === 'render' ? 'its chat template' : 'the tokenizer');

const endless = {
  load: 'it may be too large',
  encode: 'a pattern in it may try again and again without end',
  render: 'a loop in it may have no end',
} as const;
