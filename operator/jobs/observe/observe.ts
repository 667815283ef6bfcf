/** Reads everything that belongs to a resource from the caches; only what is stuck costs a request. */
import { type Kind, type Resource, referencesOf } from '../../../src/api/index.ts';
import {
  type ApiClient,
  isNotFound,
  type KubeObject,
  persistentVolumeClaims,
  splitKey,
} from '../../runtime/index.ts';
import { claimsOf } from '../build/mounts.ts';
import { attemptOf, isFinished, isOwnJob, type Job, mayWrite, type Pod, podsOf, since } from '../objects.ts';
import { outputOf, sharingKeys, writesOf } from '../outputs.ts';
import { patience } from '../patience.ts';
import { isQueued, isSilent } from '../pods/stage-state.ts';
import { isStarting } from '../pods/trouble.ts';
import type { Reports } from '../reports.ts';
import { type Checked, latestAttempt, type Observed, type Situation } from '../situation.ts';
import { checkSpec } from '../spec/check.ts';
import type { KindRules, StageName } from '../stages.ts';
import { statusOf } from '../stored.ts';
import {
  byLabel,
  byOutput,
  byOwner,
  type Caches,
  labelKeys,
  outputKeysOf,
  ownerKey,
  referenceKey,
} from './caches.ts';
import type { Notes } from './notes.ts';
import type { Recent } from './recent.ts';

export interface ObserveOptions {
  readonly client: ApiClient;
  readonly caches: Caches;
  readonly recent: Recent;
  readonly notes: Notes;
  /** Absent where there is no NATS. */
  readonly reports?: Reports | undefined;
  /** Whether NATS is to be told to users as away: not at every hiccup. */
  readonly connected: () => boolean | undefined;
  /** For how long it was heard without a break. */
  readonly heardMilliseconds: () => number | undefined;
  readonly clock: () => number;
}

/** Undefined when the resource is gone. */
export async function observe<R extends Resource>(
  rules: KindRules<R>,
  key: string,
  options: ObserveOptions,
): Promise<Situation | undefined> {
  const { caches, recent, reports } = options;
  const { namespace, name } = splitKey(key);
  const cached = caches.resources[rules.kind].get(namespace, name);
  if (cached === undefined) return undefined;
  const object = recent.object(cached);
  const uid = object.metadata.uid ?? '';
  const { jobs, pods } = ownOf(object, caches, recent);
  const checked = checkSpec(object);
  const latest = latestAttempt(object, jobs);
  const observed = {
    object,
    jobs,
    pods,
    others: othersFor(object, { jobs, pods }, caches, recent),
    dependencies: 'resource' in checked ? dependenciesOf(checked.resource, namespace, caches, recent) : {},
    claims: await claimsToShare(rules, { object, jobs, checked, latest }, options),
    notes: await notesOn(jobs, pods, options),
    refusal: recent.refusal(uid),
    reports: {
      connected: options.connected(),
      heardMilliseconds: options.heardMilliseconds(),
      results: Object.fromEntries(
        rules.stages.map((stage) => [stage, reports?.resultOf(uid, stage, latest)]),
      ) as Partial<Record<StageName, unknown>>,
    },
  };
  return { observed, checked, latest };
}

/** The resource's own Jobs; their pods, whatever labels these carry, and those whose labels say that they are its own. */
function ownOf(object: KubeObject, caches: Caches, recent: Recent): { jobs: Job[]; pods: Pod[] } {
  const { namespace, uid = '' } = object.metadata;
  const jobs = recent
    .jobs(uid, caches.jobs.byIndex(byOwner, ownerKey(namespace, uid)))
    .filter((job) => isOwnJob(job, object));
  const podsOfJob = ({ metadata }: Job) =>
    caches.pods.byIndex(byOwner, ownerKey(namespace, metadata.uid ?? ''));
  const labelled = caches.pods.byIndex(byLabel, ownerKey(namespace, uid));
  return { jobs, pods: [...new Set([...jobs.flatMap(podsOfJob), ...labelled])] };
}

/**
 * What may still write to the resource's place and is not its own: of an earlier resource of its name, or of one whose output
 * is the same, lies inside it or around it.
 */
function othersFor(
  object: KubeObject,
  own: { readonly jobs: readonly Job[]; readonly pods: readonly Pod[] },
  caches: Caches,
  recent: Recent,
): (Job | Pod)[] {
  const { namespace = '', name, uid = '' } = object.metadata;
  const named = referenceKey(object.kind, namespace, name);
  const output = outputOf(object);
  const places = output === undefined ? [] : sharingKeys(namespace, output);
  const found = <T extends Job | Pod>(cache: { byIndex(index: string, value: string): T[] }): T[] => [
    ...cache.byIndex(byLabel, named),
    ...places.flatMap((place) => cache.byIndex(byOutput, place)),
  ];
  const created = recent
    .othersCreated(uid)
    .filter(
      (job) =>
        labelKeys(job).includes(named) || outputKeysOf(writesOf)(job).some((key) => places.includes(key)),
    );
  const known = new Set([...own.jobs, ...own.pods].map(({ metadata }) => metadata.uid));
  const all = [
    ...[...found(caches.jobs), ...created].filter((job) => !isFinished(job)),
    ...found(caches.pods).filter(mayWrite),
  ].filter(({ metadata }) => !known.has(metadata.uid));
  return [...new Map(all.map((other) => [other.metadata.uid, other])).values()];
}

/** Whether nothing but the resource's own Jobs and pods writes to its place, by all that is known at this moment. */
export const writesAlone = (object: KubeObject, caches: Caches, recent: Recent): boolean =>
  othersFor(object, ownOf(object, caches, recent), caches, recent).length === 0;

function dependenciesOf(
  resource: Resource,
  namespace: string,
  { resources }: Caches,
  recent: Recent,
): Observed['dependencies'] {
  const found = (kind: Kind, name: string) => {
    const object = resources[kind].get(namespace, name);
    return object && recent.object(object);
  };
  return Object.fromEntries(referencesOf(resource).map(({ role, kind, name }) => [role, found(kind, name)]));
}

interface Begun {
  readonly object: KubeObject;
  readonly jobs: readonly Job[];
  readonly checked: Checked;
  readonly latest: number;
}

/** Where several pods are to share the first stage, the claims of its places, before its Job is made. */
async function claimsToShare<R extends Resource>(
  rules: KindRules<R>,
  begun: Begun,
  { client }: ObserveOptions,
): Promise<Observed['claims']> {
  const claims = new Map<string, KubeObject | undefined>();
  if (!('resource' in begun.checked) || hasBegunOrEnded(begun)) return claims;
  const resource = begun.checked.resource as R;
  if (resource.spec.suspend) return claims;
  const { shards = 1, reads, writes } = rules.work(resource, rules.begins(resource), {}, undefined);
  if (shards === 1) return claims;
  const { namespace = '' } = begun.object.metadata;
  for (const name of claimsOf([...reads, ...writes]))
    claims.set(name, await orNothing(client.get(persistentVolumeClaims, namespace, name)));
  return claims;
}

/** Jobs of earlier attempts may still be there; what has ended shares nothing any more. */
function hasBegunOrEnded({ object, jobs, latest }: Begun): boolean {
  const { phase } = statusOf(object);
  return phase === 'Complete' || phase === 'Failed' || jobs.some((job) => attemptOf(job) === latest);
}

async function orNothing(object: Promise<KubeObject>): Promise<KubeObject | undefined> {
  try {
    return await object;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

/** What events say of each Job that has no pods and each pod that has no container, by uid. */
function notesOn(
  jobs: readonly Job[],
  pods: readonly Pod[],
  { notes, clock }: ObserveOptions,
): Promise<ReadonlyMap<string, string>> {
  const now = clock();
  const stuck = [
    ...jobs.filter((job) => isSilent(job, podsOf(job, pods), now)),
    ...pods.filter(
      (pod) => isStarting(pod) && since(pod.metadata.creationTimestamp, now) > patience.starting,
    ),
  ];
  return notes.about(stuck, jobs.filter(isQueued));
}
