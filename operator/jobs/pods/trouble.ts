/** Why a pod is not at work though it should be: one named check each, the most telling first. */
import { workerContainer } from '../../../src/api/index.ts';

import { isMapping } from '../json.ts';
import { annotation } from '../names.ts';
import {
  type ContainerStatus,
  conditionOf,
  isBeingDeleted,
  isTerminal,
  type Pod,
  since,
  workerStatus,
  workerTerminated,
} from '../objects.ts';
import { patience } from '../patience.ts';
import { endText, initContainers, nativeSidecar, runningOn } from './containers.ts';

export interface Trouble {
  readonly reason:
    | 'NodeLost'
    | 'ImagePullFailed'
    | 'ContainerNotCreated'
    | 'ContainerFailing'
    | 'InitContainerRunning'
    | 'SidecarRunning'
    | 'Unschedulable'
    | 'PodsNotCreated'
    | 'Terminating';
  readonly message: string;
}

interface Context {
  readonly now: number;
  /** By uid: what the cluster's events say about an object that is stuck. */
  readonly notes: ReadonlyMap<string, string>;
}

type Check = (pod: Pod, context: Context) => Trouble | undefined;

const checks: readonly Check[] = [
  // A pod that should have ended long ago: its node no longer says what becomes of it.
  (pod, { now }) =>
    isBeingDeleted(pod) && since(pod.metadata.deletionTimestamp, now) > patience.ending
      ? {
          reason: 'NodeLost',
          message:
            `pod ${pod.metadata.name} on node ${nodeOf(pod)} was to end and did not: the node may be lost; ` +
            'another pod starts when it is back, or when the node or the pod is removed by hand ' +
            `(kubectl delete pod ${pod.metadata.name} --force)`,
        }
      : undefined,

  // The node controller says "not ready" of pods on a silent node, and gives no reason as a kubelet would.
  (pod, { now }) => {
    const ready = pod.status?.conditions?.find(({ type }) => type === 'Ready');
    const silent =
      ready?.status === 'False' && !ready.reason && workerStatus(pod)?.state?.running !== undefined;
    return silent && since(ready.lastTransitionTime, now) > patience.silence
      ? {
          reason: 'NodeLost',
          message:
            `node ${nodeOf(pod)} of pod ${pod.metadata.name} has not answered since ${ready.lastTransitionTime}; ` +
            'another pod starts only when this one is known to have ended',
        }
      : undefined;
  },

  (pod) => {
    const status = statuses(pod).find(({ state }) => /Image|Registry/.test(state?.waiting?.reason ?? ''));
    const { reason, message } = status?.state?.waiting ?? {};
    return status === undefined
      ? undefined
      : {
          reason: 'ImagePullFailed',
          message: `pod ${pod.metadata.name}: image ${imageOf(pod, status)} is not there (${[reason, message].filter(Boolean).join(': ')})`,
        };
  },

  (pod) => {
    const waiting = statuses(pod).find(({ state }) => /Error$/.test(state?.waiting?.reason ?? ''))?.state
      ?.waiting;
    return waiting === undefined
      ? undefined
      : {
          reason: 'ContainerNotCreated',
          message: `pod ${pod.metadata.name}: ${waiting.reason}: ${waiting.message ?? ''}`,
        };
  },

  // Of a native sidecar: other containers of such pods are not started again.
  (pod) => {
    const failing = statuses(pod).find(({ state }) => state?.waiting?.reason === 'CrashLoopBackOff');
    const last = failing?.lastState?.terminated;
    return failing === undefined
      ? undefined
      : {
          reason: 'ContainerFailing',
          message: `pod ${pod.metadata.name}: container ${failing.name} ${last ? endText(last) : 'ends'}, again and again`,
        };
  },

  (pod, { now }) => {
    const running = initContainers(pod).find(({ state }) => state?.running !== undefined);
    const startedAt = running?.state?.running?.startedAt;
    return running === undefined || since(startedAt, now) < patience.preparing
      ? undefined
      : {
          reason: 'InitContainerRunning',
          message: `pod ${pod.metadata.name}: init container ${running.name} runs since ${startedAt}; the worker begins when it has ended`,
        };
  },

  (pod, { now }) => {
    const names = isBeingDeleted(pod) ? [] : runningOn(pod);
    const { exitCode, finishedAt } = workerTerminated(pod) ?? {};
    return names.length === 0 || since(finishedAt, now) < patience.silence
      ? undefined
      : {
          reason: 'SidecarRunning',
          message:
            `pod ${pod.metadata.name}: the worker ended with exit code ${exitCode} at ${finishedAt}, and container ` +
            `${names.join(', ')} runs on, so that the pod does not end: ${nativeSidecar}`,
        };
  },

  (pod) => {
    const placed = pod.status?.conditions?.find(({ type }) => type === 'PodScheduled');
    return placed?.status === 'False' && placed.reason === 'Unschedulable'
      ? { reason: 'Unschedulable', message: `pod ${pod.metadata.name}: ${placed.message ?? 'no node fits'}` }
      : undefined;
  },

  (pod, { notes }) => {
    const note = notes.get(pod.metadata.uid ?? '');
    // That no node was found is told above for as long as it holds; here it is old.
    return note === undefined || note.startsWith('FailedScheduling') || !isStarting(pod)
      ? undefined
      : { reason: 'ContainerNotCreated', message: `pod ${pod.metadata.name}: ${note}` };
  },
];

/** What keeps this pod from its work, if anything does. */
export function troubleOf(pod: Pod, context: Context): Trouble | undefined {
  if (isTerminal(pod)) return undefined;
  for (const check of checks) {
    const trouble = check(pod, context);
    if (trouble !== undefined) return trouble;
  }
  return undefined;
}

/** On a node, but no container of it was made yet: pulling, mounting, or stuck at one of these. */
export const isStarting = (pod: Pod): boolean =>
  !isTerminal(pod) &&
  !isBeingDeleted(pod) &&
  conditionOf(pod, 'PodScheduled') !== undefined &&
  workerStatus(pod)?.state?.running === undefined &&
  workerTerminated(pod) === undefined;

/** Its worker is at work, or has ended without its pod. */
export const isRunning = (pod: Pod): boolean =>
  !isTerminal(pod) && (workerStatus(pod)?.state?.running ?? workerTerminated(pod)) !== undefined;

/** Whether its worker ended, and something beside it has run on for longer than anyone waits. */
export const isLingering = (pod: Pod, now: number): boolean =>
  !isBeingDeleted(pod) &&
  runningOn(pod).length > 0 &&
  since(workerTerminated(pod)?.finishedAt, now) >= patience.lingering;

export interface Memory {
  readonly request: string | undefined;
  readonly limit: string | undefined;
  /** Whether the limit is the installation's own, and no template's, nor what the cluster made of it. */
  readonly byDefault: boolean;
}

/** The memory that a killed container had asked for and its limit. */
export function memoryOf({ metadata, spec }: Pod): Memory {
  const resources = spec?.containers?.find(({ name }) => name === workerContainer)?.resources;
  const limit = quantity(resources?.limits);
  const byDefault = limit !== undefined && metadata.annotations?.[annotation.defaultMemory] === limit;
  return { request: quantity(resources?.requests), limit, byDefault };
}

/** Killed for memory: by its own limit, or because the node had none left. */
export const wasOutOfMemory = (pod: Pod): boolean => workerTerminated(pod)?.reason === 'OOMKilled';

const quantity = (quantities: unknown): string | undefined => {
  const memory = isMapping(quantities) ? quantities['memory'] : undefined;
  return memory === undefined ? undefined : String(memory);
};

const statuses = ({ status }: Pod): ContainerStatus[] => [
  ...(status?.initContainerStatuses ?? []),
  ...(status?.containerStatuses ?? []),
];

export const nodeOf = (pod: Pod) => pod.spec?.nodeName ?? '(none)';

const imageOf = (pod: Pod, { name, image }: ContainerStatus) =>
  [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])].find(
    (container) => container.name === name,
  )?.image ??
  image ??
  name;
