/** Why a stage failed, in the words of `offsite run`. */
import { type Resource, reasonOfExit, stoppedExit } from '../../../src/api/index.ts';
import { completionIndex } from '../names.ts';
import { conditionOf, type Job, type Pod, wasDisrupted, workerTerminated } from '../objects.ts';
import { endText, failedBeside } from './containers.ts';
import { terminationOf } from './termination.ts';
import { memoryOf, nodeOf, wasOutOfMemory } from './trouble.ts';

export interface Failure {
  readonly reason: string;
  readonly message: string;
}

interface Context {
  readonly stage: string;
  readonly spec: Resource['spec'];
}

/** Of a Job whose condition Failed is True. */
export function failureOf(job: Job, pods: readonly Pod[], { stage, spec }: Context): Failure {
  const condition = conditionOf(job, 'Failed');
  if (condition?.reason === 'DeadlineExceeded') {
    return {
      reason: 'DeadlineExceeded',
      message:
        `stage ${stage}: took longer than spec.activeDeadlineSeconds (${spec.activeDeadlineSeconds}): ` +
        'raise it, or take it away; what is done is kept',
    };
  }
  const pod = lastFailed(pods);
  const last = pod && failureOfPod(job, pod, stage);
  if (triesUsedUp.has(condition?.reason ?? '')) {
    const tries = `; tried again ${spec.backoffLimit} times (${limitOf(job)})`;
    return last
      ? { ...last, message: last.message + tries }
      : { reason: 'BackoffLimitExceeded', message: `stage ${stage}: its pods failed${tries}` };
  }
  // The pod may be gone; the Job's own condition still names its exit code.
  const exitCode = Number(/exit code (\d+)/.exec(condition?.message ?? '')?.[1]);
  return (
    last ?? {
      reason: reasonOfExit[exitCode] ?? condition?.reason ?? 'JobFailed',
      message: Number.isNaN(exitCode)
        ? `stage ${stage}: ${condition?.message ?? 'the Job failed'}`
        : `stage ${stage} (exit code ${exitCode}): the pod is gone with its message; look at its log`,
    }
  );
}

/** Of a Job, or of one of its shards. */
const triesUsedUp: ReadonlySet<string> = new Set([
  'BackoffLimitExceeded',
  'FailedIndexes',
  'MaxFailedIndexesExceeded',
]);

/** The field that says how often a pod is tried again, and for what it counts. */
export const limitOf = (job: Job): string =>
  sharesOf(job) > 1 ? 'spec.backoffLimit, for each shard' : 'spec.backoffLimit';

/** How many pods share a Job's work. */
export const sharesOf = (job: Job): number => job.spec?.completions ?? 1;

/** What became of a pod that failed of itself. */
export function failureOfPod(job: Job, pod: Pod, stage: string): Failure {
  const terminated = workerTerminated(pod);
  const shard = pod.metadata.annotations?.[completionIndex];
  const where = sharesOf(job) > 1 ? `stage ${stage}, shard ${shard}` : `stage ${stage}`;
  const named = `(pod ${pod.metadata.name})`;
  if (wasOutOfMemory(pod)) return outOfMemory(pod, where);
  const exit = terminated ? ` (exit code ${terminated.exitCode})` : '';
  const termination = terminationOf(pod);
  if (termination?.ok === false) {
    return { reason: termination.reason, message: `${where}${exit}: ${termination.message}` };
  }
  if (wasEvicted(pod)) {
    const message = `${where}: evicted from node ${nodeOf(pod)}: ${pod.status?.message ?? 'no reason given'} ${named}`;
    return { reason: 'Evicted', message };
  }
  const beside = terminated === undefined || terminated.exitCode === 0 ? failedBeside(pod) : undefined;
  if (beside !== undefined) {
    const worker = terminated ? ', beside a worker that had done its part' : '';
    return {
      reason: 'PodFailed',
      message: `${where}: ${beside.what} ${endText(beside.terminated)} ${named}${worker}`,
    };
  }
  const why = terminated
    ? [terminated.reason, terminated.message?.trim()].filter(Boolean).join(': ')
    : [pod.status?.reason, pod.status?.message].filter(Boolean).join(': ');
  const reason = (terminated && reasonOfExit[terminated.exitCode]) ?? 'PodFailed';
  return { reason, message: `${where}${exit}: ${why || 'the pod failed'} ${named}` };
}

/** By the kubelet: for what its node had too little of, or for a limit of its own. */
export const wasEvicted = ({ status }: Pod): boolean =>
  status?.phase === 'Failed' && status.reason === 'Evicted';

/** The pods that failed of themselves, the latest last; what the cluster ended or never began is none, nor an obeyed SIGTERM. */
export function failedPods(pods: readonly Pod[]): Pod[] {
  return byEnd(
    pods.filter(
      (pod) =>
        pod.status?.phase === 'Failed' &&
        !neverRan(pod) &&
        !wasDisrupted(pod) &&
        workerTerminated(pod)?.exitCode !== stoppedExit,
    ),
  );
}

/** Taken away before a node was found for it. */
const neverRan = (pod: Pod): boolean =>
  pod.spec?.nodeName === undefined && workerTerminated(pod) === undefined;

/** Those that a node under pressure evicted, the latest last: the Job tries again for as long as it takes. */
export const pressedOut = (pods: readonly Pod[]): Pod[] =>
  byEnd(pods.filter((pod) => wasDisrupted(pod) && wasEvicted(pod)));

/** Those that obeyed a SIGTERM for which the cluster gives no reason, the latest last. The Job replaces them without counting. */
export const stopped = (pods: readonly Pod[]): Pod[] =>
  byEnd(
    pods.filter(
      (pod) =>
        pod.status?.phase === 'Failed' &&
        !wasDisrupted(pod) &&
        workerTerminated(pod)?.exitCode === stoppedExit,
    ),
  );

/** The latest last. */
export const byEnd = (pods: Pod[]): Pod[] => pods.sort((a, b) => (endedAt(a) < endedAt(b) ? -1 : 1));

const endedAt = (pod: Pod) => workerTerminated(pod)?.finishedAt ?? pod.metadata.creationTimestamp ?? '';

const lastFailed = (pods: readonly Pod[]): Pod | undefined =>
  // A final word (exit codes 10 to 19) outweighs a failure that another try might have mended.
  failedPods(pods).findLast((pod) => (workerTerminated(pod)?.exitCode ?? 0) in reasonOfExit) ??
  failedPods(pods).at(-1);

function outOfMemory(pod: Pod, where: string): Failure {
  const { request, limit, byDefault } = memoryOf(pod);
  const asked = `it had asked for ${request ?? 'none'}`;
  const resources = 'spec.template.spec.containers[name=worker].resources';
  const help = byDefault
    ? `where it is no model or bundle of others that is made to take so much, raise spec.engine.memory, by which the limit goes, or state a limit in ${resources}`
    : `raise memory in ${resources}, or lower spec.engine.memory`;
  const setBy = byDefault
    ? "that the installation sets where a template states none (the chart's worker.limitFactors.memory)"
    : 'that a template or the cluster (a LimitRange) sets';
  const node = `node ${nodeOf(pod)} ran out of memory`;
  const killed =
    limit === undefined
      ? `${node} and killed the container; ${asked}, without a limit`
      : limit === request
        ? `the container was killed at its memory limit of ${limit}, ${setBy}; ${asked}`
        : `the container was killed for memory, at its limit of ${limit}, ${setBy}, or because ${node}; ${asked}`;
  return { reason: 'OutOfMemory', message: `${where}: ${killed}: ${help}` };
}
