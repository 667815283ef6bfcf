/** What a stage's Job and its pods say, in one word. */
import type { Resource } from '../../src/api/index.ts';
import { type Failure, failedPods, failureOf, failureOfPod } from './failure.ts';
import { queueName } from './job.ts';
import { conditionOf, endOf, isFinished, isTerminal, type Job, type Pod, podsOf, since } from './objects.ts';
import { isRunning, memoryOf, patience, type Trouble, troubleOf, wasOutOfMemory } from './pod-trouble.ts';
import { type Success, terminationOf } from './termination.ts';

export type StageState =
  | { readonly is: 'done'; readonly success: Success | undefined; readonly at: string }
  | { readonly is: 'failed'; readonly failure: Failure; readonly at: string }
  | {
      readonly is: 'active';
      /** Whether a pod is at work. */
      readonly running: boolean;
      readonly waiting?: { readonly reason: string; readonly message: string } | undefined;
      /** The last failure that another pod is to mend. */
      readonly retrying?: Failure | undefined;
    };

interface Context {
  readonly stage: string;
  readonly spec: Resource['spec'];
  readonly now: number;
  readonly notes: ReadonlyMap<string, string>;
}

export function stageState(job: Job, allPods: readonly Pod[], context: Context): StageState {
  const pods = podsOf(job, allPods);
  const { stage } = context;
  const failed = failedPods(pods);
  const success = pods.map(terminationOf).find((said) => said?.ok === true);
  const ahead = isAhead(job, pods, context.now);
  if (conditionOf(job, 'Complete') && !(ahead && success === undefined)) {
    return { is: 'done', success, at: endOf(job) };
  }
  if (conditionOf(job, 'Failed') && !(ahead && failed.length === 0)) {
    return { is: 'failed', failure: failureOf(job, pods, context), at: endOf(job) };
  }
  // The same limit would kill the next pod as well.
  const killed = failed.find((pod) => wasOutOfMemory(pod) && memoryOf(pod).limit !== undefined);
  if (killed) {
    return {
      is: 'failed',
      failure: failureOfPod(job, killed, stage),
      at: new Date(context.now).toISOString(),
    };
  }
  const last = failed.at(-1);
  return {
    is: 'active',
    running: pods.some(isRunning),
    waiting: waitingOf(job, pods, context),
    retrying: last && retryOf(failureOfPod(job, last, stage), failed.length, context),
  };
}

/** A Job ends after its pods: where one of them still seems to run, its end, and what it said, are yet to be seen. */
function isAhead(job: Job, pods: readonly Pod[], now: number): boolean {
  return isFinished(job) && since(endOf(job), now) < patience.seeing && !pods.every(isTerminal);
}

function waitingOf(
  job: Job,
  pods: readonly Pod[],
  context: Context,
): { reason: string; message: string } | undefined {
  if (job.spec?.suspend) {
    const queue = job.metadata.labels?.[queueName];
    const why = queue ? `Kueue admits it from queue ${queue}` : 'someone sets its spec.suspend to false';
    return { reason: 'Queued', message: `Job ${job.metadata.name} is suspended until ${why}` };
  }
  const troubles = pods.flatMap((pod) => troubleOf(pod, context) ?? []);
  const note = context.notes.get(job.metadata.uid ?? '');
  if (note !== undefined && pods.length === 0) {
    troubles.push({
      reason: 'PodsNotCreated',
      message: `Job ${job.metadata.name}: ${note}`,
    } satisfies Trouble);
  }
  const [first] = troubles;
  if (first === undefined || troubles.length === 1) return first;
  return { reason: first.reason, message: `${first.message} (and ${troubles.length - 1} more)` };
}

function retryOf({ reason, message }: Failure, times: number, { spec }: Context): Failure {
  const often = times === 1 ? '' : `, ${times} pods failed so far`;
  return {
    reason,
    message: `${message}; it is tried again (spec.backoffLimit ${spec.backoffLimit}${often})`,
  };
}

/** Jobs that should have pods by now and have none, and pods whose containers do not start: their events say why. */
export function isSilent(job: Job, pods: readonly Pod[], now: number): boolean {
  return (
    pods.length === 0 &&
    !job.spec?.suspend &&
    // From the moment at which the Job controller took it up: before, it is only busy.
    job.status?.startTime !== undefined &&
    since(job.status.startTime, now) > patience.starting &&
    conditionOf(job, 'Complete') === undefined &&
    conditionOf(job, 'Failed') === undefined
  );
}
