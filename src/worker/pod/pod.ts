// A pod from start to end: its stage, events, termination message and exit code.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { exitCodeOf, keyFiles, stoppedExit, writeTermination } from '../../api/index.ts';
import { confineTo, lockTimes } from '../../artifact/index.ts';
import { openPublisher, type Publisher, type StageEvent } from '../../progress/index.ts';
import { endAtOnce } from '../end-at-once.ts';
import type { StageJob } from '../job.ts';
import { failureOf, type StageOutcome } from '../outcome.ts';
import { runStage } from '../stage/run-stage.ts';
import { type PodWork, podWork } from './pod-job.ts';
import { eventLog, openLog, stageLog } from './pod-log.ts';
import { type PodSettings, podSettings } from './pod-settings.ts';

/**
 * What a pod runs: the stage of OFFSITE_JOB, its events to the log and to NATS, its end to the termination log.
 * @param stop aborted at SIGTERM
 * @returns the exit code: 0 done, 10 to 14 for what no other try mends, 143 after SIGTERM, 1 where another try may help
 */
export async function runPod(environment: NodeJS.ProcessEnv, stop: AbortSignal): Promise<number> {
  const settings = podSettings(environment);
  const log = openLog(environment);
  let work: PodWork;
  try {
    work = podWork(settings);
    confineTo(Object.values(work.job.mounts.claims));
  } catch (error) {
    const outcome: StageOutcome = { ok: false, ...failureOf(error), status: {} };
    return end(settings, log, 'none', outcome, stop);
  }
  const { job, identity, attempt } = work;
  const jobLog = stageLog(log, job);
  jobLog.info('started');
  const publisher = publisherFor(settings, job, attempt, jobLog);
  const write = eventLog(jobLog);
  const emit = (event: StageEvent) => {
    write(event);
    publisher?.publish(job.resource, event);
  };

  const hurry = setTimeoutAfter(stop, settings.graceSeconds * 1000, () => {
    jobLog.error('the grace period is over: what was saved last is what the next pod goes on from');
    endAtOnce(stoppedExit);
  });
  const outcome = inPodWords(
    await runStage(job, emit, stop, {
      ...{ secrets: settings.secrets, identity },
      keyPlace: ({ kind, secret }) => join(settings.keys, kind, secret, keyFiles[kind]),
      run: job.resource.metadata.uid,
      lockTimes: lockTimes(settings.lockSeconds * 1000),
    }),
    settings,
  );
  if (!outcome.ok && outcome.reason !== 'Cancelled') {
    const { reason, message } = outcome;
    publisher?.publish(job.resource, { type: 'warning', reason, message });
  }
  await sendAll(publisher, jobLog);
  clearTimeout(hurry());
  return end(settings, jobLog, job.stage, outcome, stop);
}

function end(
  settings: PodSettings,
  log: Logger,
  stage: StageJob['stage'] | 'none',
  outcome: StageOutcome,
  stop: AbortSignal,
): number {
  const kept = leave(settings.terminationLog, writeTermination(stage, outcome));
  if (!kept) log.debug('there is no termination log here');
  const code = exitCodeOf(outcome, stop.aborted);
  if (outcome.ok) log.info({ exitCode: code }, 'done');
  else log.error({ exitCode: code, reason: outcome.reason }, outcome.message);
  return code;
}

/** A pod without that file (a worker started by hand) is no reason to fail. */
function leave(file: string, message: string): boolean {
  try {
    writeFileSync(file, message);
    return true;
  } catch {
    return false;
  }
}

/** Reporting is never worth a failed stage: what is wrong with it is only logged. */
function publisherFor(
  { nats }: PodSettings,
  { shard }: StageJob,
  attempt: number | undefined,
  log: Logger,
): Publisher | undefined {
  if (nats === undefined) return undefined;
  const { url, credentials, certificateAuthority } = nats;
  try {
    return openPublisher({
      url,
      credentials,
      needsStream: true,
      shard,
      attempt,
      environment: certificateAuthority === undefined ? {} : { NATS_CA: certificateAuthority },
      warn: ({ reason, message }) => log.warn({ reason }, message),
    });
  } catch (error) {
    log.warn({ reason: 'NatsUnavailable' }, `no events are sent: ${failureOf(error).message}`);
    return undefined;
  }
}

async function sendAll(publisher: Publisher | undefined, log: Logger): Promise<void> {
  const unsent = (await publisher?.close()) ?? 0;
  if (unsent > 0) log.warn({ unsent }, 'NATS has not taken every event; the result lies beside the artifact');
}

/** Paths of claims as the URIs that the spec has. */
function inPodWords(outcome: StageOutcome, { claimsDirectory }: PodSettings): StageOutcome {
  if (outcome.ok) return outcome;
  return { ...outcome, message: outcome.message.replaceAll(`${claimsDirectory}/`, 'pvc://') };
}

/** A timer that starts when `signal` is aborted. @returns what gives its id */
function setTimeoutAfter(signal: AbortSignal, milliseconds: number, action: () => void) {
  let timer: NodeJS.Timeout | undefined;
  const start = () => {
    timer = setTimeout(action, milliseconds).unref();
  };
  if (signal.aborted) start();
  signal.addEventListener('abort', start, { once: true });
  return () => timer;
}
