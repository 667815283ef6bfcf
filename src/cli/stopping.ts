// How a command stops: gracefully at a first signal or lost output, at once at a later signal or when time is up.
import { graceSecondsIn } from '../api/index.ts';
import { endAtOnce } from '../worker/index.ts';
import { onLostOutput } from './output.ts';

/** What asks a command to stop: Ctrl-C, `kill`, and a terminal, or a parent, that is gone. */
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** A terminal and a parent process may both pass on one Ctrl-C. */
const oneSignal = 1000;

/**
 * Asks a command to stop at the first signal, and when its output is lost. At a later signal, or when the grace period
 * is over, the process ends with code 1, whatever a thread of it is at.
 * @param atOnce called before that, to write down how things stand
 * @returns aborted when the command is to save its work and leave
 */
export function stopOnSignals(atOnce: () => void): AbortSignal {
  const graceSeconds = graceSecondsIn(process.env);
  const abort = new AbortController();
  let first = Number.POSITIVE_INFINITY;
  const leave = () => {
    console.error('offsite: stopped at once; what was saved before stays');
    atOnce();
    endAtOnce(1);
  };
  const stop = () => {
    if (abort.signal.aborted) return;
    first = performance.now();
    setTimeout(leave, graceSeconds * 1000).unref();
    abort.abort();
  };
  for (const signal of signals)
    process.on(signal, () => {
      if (performance.now() - first > oneSignal) leave();
      else stop();
    });
  onLostOutput(stop);
  return abort.signal;
}
