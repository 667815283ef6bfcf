/** The parts of Jobs and pods that the operator reads; the objects themselves stay whole, as they came. */
import { group, workerContainer } from '../../src/api/index.ts';
import type { KubeObject } from '../runtime/index.ts';
import { partsOfJobName } from './names.ts';
import type { StageName } from './stages.ts';

export interface ObjectCondition {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
  readonly lastTransitionTime?: string;
}

export interface Job extends KubeObject {
  spec?: {
    suspend?: boolean;
    completions?: number;
    /** The output's address, kept of a template that is not. */
    writes?: string;
    [field: string]: unknown;
  };
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
  readonly startedAt?: string;
  readonly finishedAt?: string;
}

export interface ContainerStatus {
  readonly name: string;
  readonly image?: string;
  readonly containerID?: string;
  readonly restartCount?: number;
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
    /** The output's address, kept of an environment that is not. */
    writes?: string;
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

/** Since when the container that does the work runs, RFC 3339; undefined while it does not. */
export const workerRunsSince = (pod: Pod): string | undefined =>
  pod.status?.containerStatuses?.find(({ name }) => name === workerContainer)?.state?.running?.startedAt;

export const conditionOf = (object: Job | Pod, type: string): ObjectCondition | undefined =>
  object.status?.conditions?.find((condition) => condition.type === type && condition.status === 'True');

/** Of a Job; 0 where its name is none of ours. */
export const attemptOf = ({ metadata }: KubeObject): number => partsOfJobName(metadata.name)?.attempt ?? 0;

/** Of a Job; undefined where its name is none of ours. */
export const stageOf = ({ metadata }: KubeObject): StageName | undefined =>
  partsOfJobName(metadata.name)?.stage;

/** The uid of the resource that a Job belongs to and goes with. */
export const ownerResource = ({ metadata }: KubeObject): string | undefined =>
  metadata.ownerReferences?.find(
    ({ controller, apiVersion }) => controller && apiVersion.startsWith(`${group}/`),
  )?.uid;

/** Whether the operator made this Job for this resource; labels alone make none. */
export const isOwnJob = (job: KubeObject, { metadata }: KubeObject): boolean =>
  metadata.uid !== undefined &&
  ownerResource(job) === metadata.uid &&
  job.metadata.namespace === metadata.namespace &&
  stageOf(job) !== undefined;

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

/** Whether a pod's worker may write, now or later: what runs on beside it does not. */
export const mayWrite = (pod: Pod): boolean => !isTerminal(pod) && workerTerminated(pod) === undefined;

/** Whether a pod's worker is at work or has been. */
export function hasBegun(pod: Pod): boolean {
  const { state, containerID = '', restartCount = 0 } = workerStatus(pod) ?? {};
  const { running, terminated } = state ?? {};
  if (running !== undefined || terminated === undefined) return running !== undefined;
  // A process that could not be started has ended, too; so has a container that never was, of a pod that goes.
  if (terminated.reason === 'StartError') return false;
  const isKnown = terminated.reason !== 'ContainerStatusUnknown';
  return isKnown || containerID !== '' || restartCount > 0 || typeof terminated.startedAt === 'string';
}

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
