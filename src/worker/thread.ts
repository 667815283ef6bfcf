import { Worker } from 'node:worker_threads';
import type { Emit, StageEvent } from '../progress/index.ts';
import type { StageJob } from './job.ts';
import { failureOf, type StageOutcome } from './outcome.ts';

/** What the compute thread sends home. */
export type ThreadMessage = { event: StageEvent } | { outcome: StageOutcome };

/**
 * Runs one stage on a thread of its own, so that the caller's signals, bars and NATS stay live while
 * onnxruntime blocks that thread. Aborting `signal` asks the stage to save its work and leave, which takes about a second.
 */
export function runStage(job: StageJob, emit: Emit, signal: AbortSignal): Promise<StageOutcome> {
  const cancel = new SharedArrayBuffer(4);
  const raise = () => Atomics.store(new Int32Array(cancel), 0, 1);
  if (signal.aborted) raise();
  signal.addEventListener('abort', raise);

  const thread = new Worker(new URL('./compute.ts', import.meta.url), { workerData: { job, cancel } });
  return new Promise<StageOutcome>((resolve) => {
    let outcome: StageOutcome | undefined;
    const fail = (error: unknown) => {
      outcome ??= { ok: false, ...failureOf(error), status: {} };
    };
    thread.on('message', (message: ThreadMessage) => {
      if ('event' in message) emit(message.event);
      else outcome = message.outcome;
    });
    thread.on('error', fail);
    thread.on('exit', (code) => {
      signal.removeEventListener('abort', raise);
      if (outcome === undefined) fail(new Error(`the compute thread ended with code ${code} and no result`));
      resolve(outcome as StageOutcome);
    });
  });
}
