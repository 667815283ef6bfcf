/** The containers beside the worker, which a template or the cluster put there: how they keep its pod from its end. */
import { workerContainer } from '../../../src/api/index.ts';
import { type ContainerStatus, isTerminal, type Pod, type Terminated, workerTerminated } from '../objects.ts';

/** One that ended otherwise than well. */
export interface FailedContainer {
  /** `container proxy` or `init container fetch`. */
  readonly what: string;
  readonly terminated: Terminated;
}

/** Those that still run though the worker has ended: as long as they do, neither the pod nor its Job ends. */
export function runningOn(pod: Pod): string[] {
  if (isTerminal(pod) || workerTerminated(pod) === undefined) return [];
  return beside(pod).flatMap(({ name, state }) => (state?.running === undefined ? [] : [name]));
}

/** The one that made its pod fail where the worker did not: an init container first, since nothing ran after it. */
export function failedBeside(pod: Pod): FailedContainer | undefined {
  const failed = (what: string) => (status: ContainerStatus) => {
    const terminated = status.state?.terminated;
    return terminated === undefined || terminated.exitCode === 0
      ? []
      : [{ what: `${what} ${status.name}`, terminated }];
  };
  const [first] = [
    ...initContainers(pod).flatMap(failed('init container')),
    ...beside(pod).flatMap(failed('container')),
  ];
  return first;
}

/** `ended with exit code 3: Error: no route` */
export function endText({ exitCode, reason, message }: Terminated): string {
  const why = [reason, message?.trim()].filter(Boolean).join(': ');
  return `ended with exit code ${exitCode}${why && `: ${why}`}`;
}

/** How a template avoids that its sidecar keeps a pod from its end. */
export const nativeSidecar =
  'make it a native sidecar (spec.template.spec.initContainers with restartPolicy: Always), which ends with the worker';

/** Init containers that must end before the worker begins; a native sidecar, which runs beside it, is none. */
export function initContainers({ spec, status }: Pod): ContainerStatus[] {
  const sidecars = (spec?.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always');
  const names = new Set(sidecars.map(({ name }) => name));
  return (status?.initContainerStatuses ?? []).filter(({ name }) => !names.has(name));
}

const beside = ({ status }: Pod): ContainerStatus[] =>
  (status?.containerStatuses ?? []).filter(({ name }) => name !== workerContainer);
