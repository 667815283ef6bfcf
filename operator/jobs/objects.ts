/** The parts of Jobs and pods that the operator reads; the objects themselves stay whole, as they came. */
import type { KubeObject } from '../runtime/index.ts';
import { label } from './names.ts';

export interface ObjectCondition {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
  readonly lastTransitionTime?: string;
}

export interface Job extends KubeObject {
  spec?: { suspend?: boolean; completions?: number; [field: string]: unknown };
  status?: {
    active?: number;
    ready?: number;
    succeeded?: number;
    failed?: number;
    startTime?: string;
    completionTime?: string;
    conditions?: ObjectCondition[];
    [field: string]: unknown;
  };
}

export interface Terminated {
  readonly exitCode: number;
  readonly reason?: string;
  readonly message?: string;
  readonly finishedAt?: string;
}

export interface ContainerStatus {
  readonly name: string;
  readonly image?: string;
  readonly state?: {
    readonly waiting?: { readonly reason?: string; readonly message?: string };
    readonly running?: { readonly startedAt?: string };
    readonly terminated?: Terminated;
  };
  readonly lastState?: { readonly terminated?: Terminated };
}

export interface Container {
  readonly name: string;
  readonly image?: string;
  readonly restartPolicy?: string;
  readonly resources?: {
    readonly requests?: Readonly<Record<string, string>>;
    readonly limits?: Readonly<Record<string, string>>;
  };
}

export interface Pod extends KubeObject {
  spec?: {
    nodeName?: string;
    containers?: Container[];
    initContainers?: Container[];
    [field: string]: unknown;
  };
  status?: {
    phase?: string;
    reason?: string;
    message?: string;
    conditions?: ObjectCondition[];
    containerStatuses?: ContainerStatus[];
    initContainerStatuses?: ContainerStatus[];
    [field: string]: unknown;
  };
}

/** The name of the container that does the work; others come from the resource's template. */
export const workerContainer = 'worker';

export const conditionOf = (object: Job | Pod, type: string): ObjectCondition | undefined =>
  object.status?.conditions?.find((condition) => condition.type === type && condition.status === 'True');

export const attemptOf = ({ metadata }: KubeObject): number => Number(metadata.labels?.[label.attempt] ?? 0);

/** The uid of the resource that a Job or pod works for. */
export const ownerResource = ({ metadata }: KubeObject): string | undefined =>
  metadata.labels?.[label.ownerUid];

export const stageOf = ({ metadata }: KubeObject): string | undefined => metadata.labels?.[label.stage];

export const isBeingDeleted = ({ metadata }: KubeObject): boolean => metadata.deletionTimestamp !== undefined;

export const isFinished = (job: Job): boolean =>
  (conditionOf(job, 'Complete') ?? conditionOf(job, 'Failed')) !== undefined;

/** When a finished Job ended, RFC 3339. */
export function endOf(job: Job): string {
  const end = conditionOf(job, 'Complete') ?? conditionOf(job, 'Failed');
  const { creationTimestamp = '1970-01-01T00:00:00Z' } = job.metadata;
  return job.status?.completionTime ?? end?.lastTransitionTime ?? creationTimestamp;
}

/** Whether none of the pod's containers will run again; only then the Job may replace it. */
export const isTerminal = (pod: Pod): boolean =>
  pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';

/** The uid of the Job that made a pod. */
export const ownerUidOf = ({ metadata }: KubeObject): string | undefined =>
  metadata.ownerReferences?.find(({ kind }) => kind === 'Job')?.uid;

export const podsOf = (job: KubeObject, pods: readonly Pod[]): Pod[] =>
  pods.filter((pod) => ownerUidOf(pod) === job.metadata.uid);

export const workerStatus = (pod: Pod): ContainerStatus | undefined =>
  pod.status?.containerStatuses?.find(({ name }) => name === workerContainer);

export const workerTerminated = (pod: Pod): Terminated | undefined => workerStatus(pod)?.state?.terminated;

/** Whether the pod went for a reason that is not its own: evicted, drained, preempted, its node lost. */
export const wasDisrupted = (pod: Pod): boolean => conditionOf(pod, 'DisruptionTarget') !== undefined;

/** Milliseconds since an RFC 3339 time. */
export const since = (time: string | undefined, now: number): number =>
  time === undefined ? 0 : now - Date.parse(time);
