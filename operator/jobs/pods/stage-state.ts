/** What a stage's Job and its pods say, in one word. */
import { isFailure, type Resource, type Success } from '../../../src/api/index.ts';
import { queueName } from '../identity.ts';
import { completionIndex } from '../names.ts';
import {
  conditionOf,
  endOf,
  isFinished,
  isTerminal,
  type Job,
  type Pod,
  podsOf,
  since,
  workerTerminated,
} from '../objects.ts';
import { patience } from '../patience.ts';
import { endText, failedBeside, nativeSidecar, runningOn } from './containers.ts';
import {
  byEnd,
  type Failure,
  failedPods,
  failureOf,
  failureOfPod,
  limitOf,
  pressedOut,
  sharesOf,
  stopped,
} from './failure.ts';
import { terminationOf } from './termination.ts';
import { isLingering, isRunning, memoryOf, type Trouble, troubleOf, wasOutOfMemory } from './trouble.ts';

export type StageState =
  | {
      readonly is: 'done';
      readonly success: Success | undefined;
      readonly at: string;
      /** What of its pods did not end as it should, though the work is done. */
      readonly note?: string;
    }
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
  const failed = failedPods(pods);
  const success = pods.map(terminationOf).find((said) => said?.ok === true);
  const ahead = isAhead(job, pods, context.now);
  if (conditionOf(job, 'Complete') && !(ahead && success === undefined)) {
    return { is: 'done', success, at: endOf(job) };
  }
  const done = doneByWorkers(job, pods, context.now);
  if (done) return { is: 'done', success, ...done };
  if (conditionOf(job, 'Failed') && !(ahead && failed.length === 0)) {
    return { is: 'failed', failure: failureOf(job, pods, context), at: endOf(job) };
  }
  const hopeless = hopelessOf(job, pods, failed, context);
  if (hopeless) return { is: 'failed', failure: hopeless, at: new Date(context.now).toISOString() };
  return {
    is: 'active',
    running: pods.some(isRunning),
    waiting: waitingOf(job, pods, context),
    retrying: retrying(job, pods, failed, context),
  };
}

/**
 * Every worker has done its part, and a container beside one of them keeps the Job from its end, by failing or by running
 * on: the work counts, and the Job goes.
 */
function doneByWorkers(
  job: Job,
  pods: readonly Pod[],
  now: number,
): { at: string; note: string } | undefined {
  const done = pods.filter((pod) => workerTerminated(pod)?.exitCode === 0);
  const ended = done.filter((pod) => isTerminal(pod) || isLingering(pod, now));
  const kept = ended.filter(({ status }) => status?.phase !== 'Succeeded');
  if (kept.length === 0 || new Set(ended.map(shardOf)).size < sharesOf(job)) return undefined;
  const last = done.flatMap((pod) => workerTerminated(pod)?.finishedAt ?? []).sort();
  const [pod] = kept as [Pod, ...Pod[]];
  return { at: last.at(-1) ?? new Date(now).toISOString(), note: endOfPod(pod) };
}

function endOfPod(pod: Pod): string {
  const failed = failedBeside(pod);
  const what = failed
    ? `${failed.what} ${endText(failed.terminated)}`
    : `container ${runningOn(pod).join(', ')} ran on and was ended`;
  return isTerminal(pod) && failed === undefined
    ? `pod ${pod.metadata.name} ended badly after its worker had done its part`
    : `beside the worker of pod ${pod.metadata.name}, ${what}: ${nativeSidecar}`;
}

/** What another pod would meet again, or what keeps another pod from being made. */
function hopelessOf(
  job: Job,
  pods: readonly Pod[],
  failed: readonly Pod[],
  { stage, now }: Context,
): Failure | undefined {
  const killed = failed.findLast(
    (pod) => wasOutOfMemory(pod) && (isLimitAlone(pod) || failed.some(isSameShardKilled(pod))),
  );
  if (killed) return failureOfPod(job, killed, stage);
  const lingering = pods.find((pod) => isLingering(pod, now) && isFailure(workerTerminated(pod)?.exitCode));
  if (lingering === undefined) return undefined;
  const { reason, message } = failureOfPod(job, lingering, stage);
  const names = runningOn(lingering).join(', ');
  return {
    reason,
    message: `${message}; container ${names} of pod ${lingering.metadata.name} ran on, so that no other was tried: ${nativeSidecar}`,
  };
}

/** A limit that is the request is met before the node's memory ends. */
function isLimitAlone(pod: Pod): boolean {
  const { request, limit } = memoryOf(pod);
  return limit !== undefined && limit === request;
}

/** Where a limit is above the request, the node may have been full: once. */
const isSameShardKilled = (pod: Pod) => (other: Pod) =>
  other !== pod &&
  wasOutOfMemory(other) &&
  memoryOf(other).limit !== undefined &&
  shardOf(other) === shardOf(pod);

const shardOf = ({ metadata }: Pod): string => metadata.annotations?.[completionIndex] ?? '0';

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
    const note = context.notes.get(job.metadata.uid ?? '');
    const said = note === undefined ? '' : `; its last event: ${note}`;
    return { reason: 'Queued', message: `Job ${job.metadata.name} is suspended until ${why}${said}` };
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

/** The latest end that another pod is to mend: of itself, which is counted, or for another's sake, which is not. */
function retrying(
  job: Job,
  pods: readonly Pod[],
  failed: readonly Pod[],
  { stage, spec }: Context,
): Failure | undefined {
  const pressed = pressedOut(pods);
  const ended = endedAgain(pods);
  const last = byEnd([failed, pressed, ended].flatMap((those) => those.at(-1) ?? [])).at(-1);
  if (last === undefined) return undefined;
  const { reason, message } = failureOfPod(job, last, stage);
  const uncounted = (those: readonly Pod[], advice: string): Failure => {
    const often = those.length === 1 ? '' : `, ${those.length} pods so far`;
    return {
      reason,
      message: `${message}; it is tried again, however often${often}: if that goes on, ${advice}`,
    };
  };
  if (last === pressed.at(-1))
    return uncounted(
      pressed,
      'ask for what it takes (resources.requests in spec.template), or give it nodes with more room',
    );
  if (last === ended.at(-1))
    return uncounted(
      ended,
      `look for what ends its pods (kubectl describe pod ${last.metadata.name}): a livenessProbe that fails, a controller, an image that ends so by itself`,
    );
  const often = failed.length === 1 ? '' : `, ${failed.length} pods failed so far`;
  return {
    reason,
    message: `${message}; it is tried again (${limitOf(job).replace('backoffLimit', `backoffLimit ${spec.backoffLimit}`)}${often})`,
  };
}

/** That a pod is ended is usual once; where it is so for the same share of the work again, something does it each time. */
function endedAgain(pods: readonly Pod[]): Pod[] {
  const all = stopped(pods);
  const last = all.at(-1);
  const same = last === undefined ? [] : all.filter((pod) => shardOf(pod) === shardOf(last));
  return same.length < 2 ? [] : same;
}

/** A Job that a queue holds: why it is not admitted, or was stopped (its Workload deactivated), only events say. */
export const isQueued = (job: Job): boolean =>
  job.spec?.suspend === true && job.metadata.labels?.[queueName] !== undefined && !isFinished(job);

/** Milliseconds since it was suspended. */
export const queuedFor = (job: Job, now: number): number =>
  since(conditionOf(job, 'Suspended')?.lastTransitionTime ?? job.metadata.creationTimestamp, now);

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
