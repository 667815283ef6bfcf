/** Makes decisions come true, in this order: status, removals, Jobs, and after each the events that tell of it. */
import { apiVersion, natsFiles } from '../../../src/api/index.ts';
import {
  type ApiClient,
  type EventType,
  isAlreadyExists,
  isConflict,
  isNotFound,
  jobs,
  type KubeObject,
  type Outcome,
  type ResourceType,
  secrets,
} from '../../runtime/index.ts';
import type { Decision } from '../decide/ruling.ts';
import { ownerReference } from '../identity.ts';
import { credentialsName, ours } from '../names.ts';
import { attemptOf, isOwnJob, type Job, stageOf } from '../objects.ts';
import { withoutHugeMetadata } from '../observe/metadata.ts';
import type { Recent } from '../observe/recent.ts';
import type { Entrances } from '../outputs.ts';
import type { Credentials } from '../reports.ts';
import { withoutHugeTemplate } from '../spec/template-form.ts';
import { isOwnTemplatesFault, isRefusal, refusalText } from './refusal.ts';

export const fieldManager = 'offsite-operator';

export interface ExecuteOptions {
  readonly client: ApiClient;
  readonly recent: Recent;
  /** Of all resources that this process works on. */
  readonly entrances: Entrances;
  readonly events: {
    event(object: KubeObject, type: EventType, reason: string, message: string): void;
  };
  /** Absent where pods need none for NATS. */
  readonly credentials?: Credentials | undefined;
  /** Told after each status write, with the object as it was before. */
  readonly wroteStatus?: (before: KubeObject, after: KubeObject) => void;
}

/** @param type the resource's */
export async function execute(
  type: ResourceType,
  object: KubeObject,
  decision: Decision,
  options: ExecuteOptions,
): Promise<Outcome> {
  if (decision.status && !(await writeStatus(type, object, decision.status, options))) return {};
  for (const { type: severity, reason, message } of decision.events) {
    options.events.event(object, severity, reason, message);
  }
  for (const job of decision.remove) await removeJob(object, job, options);
  for (const job of decision.create) {
    const leave = options.entrances.enter(object);
    // Another resource has just made a Job that writes there: the next look finds it.
    if (leave === undefined) return { requeueAfterMilliseconds: 1000 };
    try {
      // What the API server thinks of the Job is part of the situation: it is looked at afresh.
      if (!(await createJob(object, job, options))) return { requeueAfterMilliseconds: 1 };
    } finally {
      leave();
    }
  }
  const { lookAgainMilliseconds: again } = decision;
  return again === undefined ? {} : { requeueAfterMilliseconds: again };
}

/**
 * Only on the version that was looked at: a decision on an older one is void.
 * @returns false when the resource is gone
 */
async function writeStatus(
  type: ResourceType,
  object: KubeObject,
  status: object,
  { client, recent, wroteStatus }: ExecuteOptions,
): Promise<boolean> {
  const { name, namespace, uid, resourceVersion } = object.metadata;
  const metadata = { name, namespace, uid, resourceVersion } as KubeObject['metadata'];
  const body = { apiVersion, kind: type.kind, metadata, status };
  try {
    const { metadata: written, ...rest } = await client.applyStatus<KubeObject>(type, body, {
      fieldManager,
      force: true,
    });
    const { managedFields: _, ...kept } = written;
    const after = withoutHugeTemplate(withoutHugeMetadata({ ...rest, metadata: kept } as KubeObject));
    recent.wrote(after);
    wroteStatus?.(object, after);
    return true;
  } catch (error) {
    if (isNotFound(error)) return false;
    throw error;
  }
}

/** In the foreground: the Job stays until its pods have ended. */
async function removeJob(
  object: KubeObject,
  job: KubeObject,
  { client, recent, events }: ExecuteOptions,
): Promise<void> {
  const { namespace, name, uid } = job.metadata;
  try {
    await client.delete(jobs, namespace, name, {
      propagationPolicy: 'Foreground',
      ...(uid !== undefined && { preconditions: { uid } }),
    });
  } catch (error) {
    if (isNotFound(error) || isConflict(error)) return;
    throw error;
  }
  recent.removed(job as Job);
  events.event(object, 'Normal', 'JobDeleted', `deleted Job ${name}`);
}

/** @returns false when the API server refused it */
async function createJob(object: KubeObject, job: KubeObject, options: ExecuteOptions): Promise<boolean> {
  const { client, recent, events } = options;
  const uid = object.metadata.uid ?? '';
  try {
    await createCredentials(object, job, options);
    recent.created(await client.create<Job>(jobs, job as Job, { fieldManager, fieldValidation: 'Strict' }));
    recent.accepted(uid);
    const which = `stage ${stageOf(job)}, attempt ${attemptOf(job)}`;
    events.event(object, 'Normal', 'JobCreated', `created Job ${job.metadata.name} (${which})`);
    return true;
  } catch (error) {
    if (isAlreadyExists(error)) return await adoptJob(object, job, options);
    if (!isRefusal(error)) throw error;
    refuse(object, refusalText(error), isOwnTemplatesFault(error, job, object), recent);
    return false;
  }
}

/** A Job of this name is there: ours, which the cache does not show yet, or somebody else's. */
async function adoptJob(
  object: KubeObject,
  job: KubeObject,
  { client, recent }: ExecuteOptions,
): Promise<boolean> {
  const { namespace, name } = job.metadata;
  const there = await client.get<Job>(jobs, namespace, name);
  if (isOwnJob(there, object)) {
    recent.created(withoutHugeMetadata(there));
    return true;
  }
  refuse(object, `there is a Job ${name} that belongs to something else: delete it`, false, recent);
  return false;
}

function refuse(object: KubeObject, message: string, final: boolean, recent: Recent): void {
  const generation = object.metadata.generation ?? 1;
  recent.refused(object.metadata.uid ?? '', { message, final, generation });
}

/** Before the Job, so that its pods find them; one that is there is as good. */
async function createCredentials(
  object: KubeObject,
  job: KubeObject,
  { client, credentials }: ExecuteOptions,
): Promise<void> {
  if (credentials === undefined) return;
  const { name, namespace = '', uid = '' } = object.metadata;
  const secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name: credentialsName(job.metadata.name),
      namespace,
      labels: { ...ours },
      ownerReferences: [ownerReference(object)],
    },
    type: 'Opaque',
    stringData: {
      [natsFiles.credentials]: await credentials.issue({ namespace, kind: object.kind, name, uid }),
      ...(credentials.authority !== undefined && { [natsFiles.authority]: credentials.authority }),
    },
  };
  try {
    await client.create(secrets, secret, { fieldManager });
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
  }
}
