// The compute thread as the main thread sees it: started, cancelled, and given what it asks for.
import { SHARE_ENV, Worker } from 'node:worker_threads';
import type { Emit } from '../../progress/index.ts';
import type { StageJob } from '../job.ts';
import { failureOf, type StageOutcome } from '../outcome.ts';
import type { Answer, KeepRequest, ThreadMessage } from './messages.ts';

export interface ThreadOptions {
  emit: Emit;
  /** Aborted: the stage saves its work and leaves, which takes about a second. */
  signal: AbortSignal;
  /** Brings what the stage asks for. */
  keep: (request: KeepRequest) => Promise<void>;
}

/** Runs one stage on a thread of its own, so that signals, bars and NATS stay live while onnxruntime blocks that thread. */
export function runOnThread(job: StageJob, { emit, signal, keep }: ThreadOptions): Promise<StageOutcome> {
  const cancel = new SharedArrayBuffer(4);
  const raise = () => Atomics.store(new Int32Array(cancel), 0, 1);
  if (signal.aborted) raise();
  signal.addEventListener('abort', raise);

  const thread = new Worker(new URL('./compute.ts', import.meta.url), {
    workerData: { job, cancel },
    // The engine's library reads the process's environment, not a copy.
    env: SHARE_ENV,
  });
  const answer = async (ask: number, request: KeepRequest) => {
    const failure = await keep(request).then(() => undefined, failureOf);
    thread.postMessage({ ask, ...(failure && { failure }) } satisfies Answer);
  };
  return new Promise<StageOutcome>((resolve) => {
    let outcome: StageOutcome | undefined;
    const fail = (error: unknown) => {
      outcome ??= { ok: false, ...failureOf(error), status: {} };
    };
    thread.on('message', (message: ThreadMessage) => {
      if ('event' in message) emit(message.event);
      else if ('outcome' in message) outcome = message.outcome;
      else void answer(message.ask, message.request);
    });
    thread.on('error', fail);
    thread.on('exit', (code) => {
      signal.removeEventListener('abort', raise);
      if (outcome === undefined) fail(new Error(`the compute thread ended with code ${code} and no result`));
      resolve(outcome as StageOutcome);
    });
  });
}
