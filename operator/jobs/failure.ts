/** Why a stage failed, in the words of `offsite run`. */
import type { Resource } from '../../src/api/index.ts';
import { conditionOf, type Job, type Pod, wasDisrupted, workerTerminated } from './objects.ts';
import { memoryOf, wasOutOfMemory } from './pod-trouble.ts';
import { reasonOfExit, terminationOf } from './termination.ts';

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
  if (condition?.reason === 'BackoffLimitExceeded') {
    const tries = `; tried again ${spec.backoffLimit} times (spec.backoffLimit)`;
    return last
      ? { ...last, message: last.message + tries }
      : { reason: condition.reason, message: `stage ${stage}: its pods failed${tries}` };
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

/** What became of a pod that failed of itself. */
export function failureOfPod(job: Job, pod: Pod, stage: string): Failure {
  const terminated = workerTerminated(pod);
  const shard = pod.metadata.annotations?.['batch.kubernetes.io/job-completion-index'];
  const where = (job.spec?.completions ?? 1) > 1 ? `stage ${stage}, shard ${shard}` : `stage ${stage}`;
  if (wasOutOfMemory(pod)) return outOfMemory(pod, where);
  const exit = terminated ? ` (exit code ${terminated.exitCode})` : '';
  const termination = terminationOf(pod);
  if (termination?.ok === false) {
    return { reason: termination.reason, message: `${where}${exit}: ${termination.message}` };
  }
  const why = terminated
    ? [terminated.reason, terminated.message?.trim()].filter(Boolean).join(': ')
    : [pod.status?.reason, pod.status?.message].filter(Boolean).join(': ');
  const reason = (terminated && reasonOfExit[terminated.exitCode]) ?? 'PodFailed';
  return { reason, message: `${where}${exit}: ${why || 'the pod failed'} (pod ${pod.metadata.name})` };
}

/** The pods that failed of themselves, the latest last; evictions and obeyed SIGTERMs are none. */
export function failedPods(pods: readonly Pod[]): Pod[] {
  const endOf = (pod: Pod) => workerTerminated(pod)?.finishedAt ?? pod.metadata.creationTimestamp ?? '';
  return pods
    .filter(
      (pod) =>
        pod.status?.phase === 'Failed' && !wasDisrupted(pod) && workerTerminated(pod)?.exitCode !== 143,
    )
    .sort((a, b) => (endOf(a) < endOf(b) ? -1 : 1));
}

const lastFailed = (pods: readonly Pod[]): Pod | undefined =>
  // A final word (exit codes 10 to 19) outweighs a failure that another try might have mended.
  failedPods(pods).findLast((pod) => (workerTerminated(pod)?.exitCode ?? 0) in reasonOfExit) ??
  failedPods(pods).at(-1);

function outOfMemory(pod: Pod, where: string): Failure {
  const { request, limit } = memoryOf(pod);
  const asked = `it had asked for ${request ?? 'none'}`;
  const help =
    'raise memory in spec.template.spec.containers[name=worker].resources, or lower spec.engine.memory';
  return {
    reason: 'OutOfMemory',
    message:
      limit === undefined
        ? `${where}: the node ran out of memory and killed the container; ${asked}, without a limit: ${help}`
        : `${where}: the container was killed at its memory limit of ${limit}; ${asked}: ${help}`,
  };
}
