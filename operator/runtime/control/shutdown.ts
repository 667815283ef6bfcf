// Graceful shutdown on signals, within the pod's grace period.
import { type Log, operatorLog, toldOf } from '../log.ts';

export interface ProcessOptions {
  /** Time for flights to land and the lease to be given back; 20 s (a pod has 30). */
  graceMilliseconds?: number;
  log?: Log;
}

/**
 * Runs the process's work until it ends or SIGTERM or SIGINT comes; then its signal aborts, and it has the grace time.
 * @returns the exit code: 0 after an orderly end, 1 after an error or when the grace time was not enough
 * @example
 * process.exit(await runUntilTold((signal) => runOperator(signal)));
 */
export async function runUntilTold(
  work: (signal: AbortSignal) => Promise<void>,
  { graceMilliseconds = 20_000, log = operatorLog }: ProcessOptions = {},
): Promise<0 | 1> {
  const told = new AbortController();
  const late = Promise.withResolvers<'late'>();
  let timer: NodeJS.Timeout | undefined;
  const onSignal = (signal: NodeJS.Signals) => {
    if (told.signal.aborted) return;
    log.info({ signal }, 'told to end');
    timer = setTimeout(() => late.resolve('late'), graceMilliseconds);
    told.abort(new Error(`${signal}`));
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  try {
    const end = await Promise.race([work(told.signal), late.promise]);
    if (end === 'late') log.error({ graceMilliseconds }, 'not done in time; ending anyway');
    return end === 'late' ? 1 : 0;
  } catch (error) {
    if (told.signal.aborted && error === told.signal.reason) return 0;
    log.error(
      { ...toldOf(error), stack: error instanceof Error ? error.stack : undefined },
      'ended by an error',
    );
    return 1;
  } finally {
    clearTimeout(timer);
    process.off('SIGTERM', onSignal);
    process.off('SIGINT', onSignal);
  }
}
