// The parent's side of a subprocess: requests one by one, each with its limits.
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { cancelled } from '../api/index.ts';
import type { Limits, Message, Order } from './messages.ts';

export interface SubprocessOptions {
  /** The program: a file that answers each message of its thread's parentPort with one. */
  readonly program: URL;
  /** The most MiB of its thread's JavaScript heap. */
  readonly heapMebibytes: number;
  /** Its environment, beside where Node keeps compiled sources: there may be keys in ours. */
  readonly environment?: NodeJS.ProcessEnv;
  /** A file that is open here, and there as `handedOver`. */
  readonly descriptor?: number;
  /** Whether the work is no longer wanted: the process is ended at once. */
  readonly cancelled?: (() => boolean) | undefined;
}

/**
 * How a request ended: with the program's answer, at one of its limits, with an error that the program did not catch, or with
 * the process: by itself, or `killed` from outside, which another try may mend.
 */
export type Outcome<Reply> =
  | Message<Reply>
  | { readonly ended: NodeJS.Signals | 'exit' }
  | { readonly killed: true };

/** The number of the file that a program is given, behind those of input, output, errors and messages. */
export const handedOver = 4;

/** How much of the time between two looks counts as waiting. */
const mostMilliseconds = 1000;

/** Of the memory that this process may have one half, within bounds: what a subprocess may take beside it, in bytes. */
export function shareOfMemory(most: number): number {
  const least = 2 ** 28;
  return Math.min(most, Math.max(least, (process.constrainedMemory() || Number.POSITIVE_INFINITY) / 2));
}

/**
 * A process of its own for what came from outside. A count of what a file claims may lack a claim, and what a decoder
 * takes outside of the heap no thread's limits see: the memory of a whole process is all of it. A native loop can be ended
 * in no other way than with its process, nor a library that breaks off.
 */
export class Subprocess<Request, Reply> {
  readonly #isCancelled: () => boolean;
  readonly #child: ChildProcess;
  /** Why it could not be started. */
  #failure: Error | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: SubprocessOptions) {
    const { program, heapMebibytes, environment = {}, descriptor } = options;
    this.#isCancelled = options.cancelled ?? (() => false);
    this.#child = fork(
      fileURLToPath(new URL('./main.ts', import.meta.url)),
      [program.href, String(heapMebibytes)],
      {
        execArgv: [],
        env: { ...compiledSources(), ...environment },
        serialization: 'advanced',
        stdio: ['ignore', 'ignore', 'ignore', 'ipc', descriptor ?? 'ignore'],
      },
    );
    this.#child.on('error', (error) => {
      this.#failure ??= error;
    });
  }

  /** @throws OffsiteError Cancelled; the system's error where the process could not be started */
  async request(request: Request, limits: Limits): Promise<Outcome<Reply>> {
    const mine = this.#last.then(() => {
      if (this.#isCancelled()) throw cancelled('stopped on request');
      return this.#answer({ request, limits });
    });
    this.#last = mine.catch(() => {});
    return mine;
  }

  /** Ends the process, whatever it does. */
  close(): void {
    this.#child.kill('SIGKILL');
  }

  #answer(order: Order): Promise<Outcome<Reply>> {
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
        const late = waited > order.limits.seconds * 20_000;
        if (!late && !this.#isCancelled()) return;
        child.kill('SIGKILL');
        end(() => (late ? resolve({ exceeded: 'time' }) : reject(cancelled('stopped on request'))));
      }, 50);
      const onMessage = (message: Message<Reply>) => end(() => resolve(message));
      const onExit = (_: number | null, signal: NodeJS.Signals | null) =>
        end(() => resolve(signal === 'SIGKILL' ? { killed: true } : { ended: signal ?? 'exit' }));
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
}

/** Where it finds what others have compiled: half of what starting it costs. */
function compiledSources(): NodeJS.ProcessEnv {
  const { NODE_COMPILE_CACHE } = process.env;
  return NODE_COMPILE_CACHE === undefined ? {} : { NODE_COMPILE_CACHE };
}
