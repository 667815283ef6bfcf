/** What is kept of a Job or a pod that is past all bounds as a whole: whose it is, how far it is, and the worker's own words. */
import { workerContainer } from '../../../src/api/index.ts';
import { type ContainerStatus, type Job, type ObjectCondition, type Pod, workerStatus } from '../objects.ts';
import { writesOf } from '../outputs.ts';
import { metadataRead } from './metadata.ts';

/** As JSON, of a Job or a pod as it is kept: some kilobytes are usual, and a pod's last words have twelve at most. */
const mostOfObject = 32_768;
/** Beyond it: in characters of a word such as a reason or a time, of a condition's message, and of the worker's last words. */
const longest = { word: 256, message: 512, lastWords: 12_288 };
/** Kubernetes knows some ten of a pod and of a Job. */
const mostConditions = 16;

/**
 * Whoever may make pods anywhere may label them as ours, and write texts of a megabyte into any field. Such an object is known by
 * what the operator reads of its metadata, and where the rest alone is too large, by the least that says how it goes: ours
 * may have containers by the dozen. What is longer than it can be of ours is left out, and never cut: a part of a text keeps all of it
 * in memory.
 */
export function bounded<T extends Job | Pod>(object: T): T {
  const isBounded = (one: T) => JSON.stringify(one).length <= mostOfObject;
  if (isBounded(object)) return object;
  const known = { ...object, metadata: metadataRead(object.metadata) };
  if (isBounded(known)) return known;
  const { apiVersion, kind, metadata } = known;
  return { apiVersion, kind, metadata, spec: specOf(object), status: statusOf(object) } as T;
}

/** The address that an object writes to, where it says so. */
export function written(object: Job | Pod): { writes?: string } {
  const writes = writesOf(object);
  return writes === undefined ? {} : { writes };
}

function specOf(object: Job | Pod): Job['spec'] & Pod['spec'] {
  const { suspend, completions, nodeName, containers } = (object.spec ?? {}) as NonNullable<Job['spec']> &
    NonNullable<Pod['spec']>;
  const worker = Array.isArray(containers)
    ? containers.find(({ name }) => name === workerContainer)
    : undefined;
  const { requests, limits } = worker?.resources ?? {};
  const memoryOf = (of: typeof requests) => words({ memory: of?.['memory'] });
  const resources = { requests: memoryOf(requests), limits: memoryOf(limits) };
  return {
    ...written(object),
    ...(typeof suspend === 'boolean' && { suspend }),
    ...(typeof completions === 'number' && { completions }),
    ...words({ nodeName }),
    ...(worker && { containers: [{ name: workerContainer, resources }] }),
  };
}

function statusOf(object: Job | Pod): object {
  const { active, ready, succeeded, failed, startTime, completionTime, phase, reason, conditions } =
    (object.status ?? {}) as NonNullable<Job['status']> & NonNullable<Pod['status']>;
  const own = workerStatus(object as Pod);
  return {
    ...numbers({ active, ready, succeeded, failed }),
    ...words({ startTime, completionTime, phase, reason }),
    conditions: (conditions ?? []).flatMap(conditionIn).slice(0, mostConditions),
    ...(own && { containerStatuses: [workerIn(own)] }),
  };
}

function workerIn({ state = {}, containerID, restartCount }: ContainerStatus): object {
  return {
    name: workerContainer,
    ...words({ containerID }),
    ...numbers({ restartCount }),
    state: stateIn(state),
  };
}

function conditionIn({
  type,
  status,
  reason,
  lastTransitionTime,
  message,
}: ObjectCondition): ObjectCondition[] {
  const said = { type, status, reason, lastTransitionTime };
  const kept = words(said);
  // One without its reason would say something else.
  if (Object.values(said).filter((word) => word !== undefined).length !== Object.keys(kept).length) return [];
  return [{ ...kept, ...words({ message }, longest.message) } as unknown as ObjectCondition];
}

function stateIn({ waiting, running, terminated }: NonNullable<ContainerStatus['state']>): object {
  return {
    ...(waiting && {
      waiting: {
        ...words({ reason: waiting.reason }),
        ...words({ message: waiting.message }, longest.message),
      },
    }),
    ...(running && { running: words({ startedAt: running.startedAt }) }),
    ...(terminated && {
      terminated: {
        ...numbers({ exitCode: terminated.exitCode }),
        ...words({
          reason: terminated.reason,
          startedAt: terminated.startedAt,
          finishedAt: terminated.finishedAt,
        }),
        ...words({ message: terminated.message }, longest.lastWords),
      },
    }),
  };
}

/** Those that are texts, and no longer than they may be. */
const words = (fields: Readonly<Record<string, unknown>>, most = longest.word): Record<string, string> =>
  Object.fromEntries(
    Object.entries(fields).filter(
      (field): field is [string, string] => typeof field[1] === 'string' && field[1].length <= most,
    ),
  );

const numbers = (fields: Readonly<Record<string, unknown>>) =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => typeof value === 'number'));
