/** Reads everything that belongs to a resource from the caches; only what is stuck costs a request. */
import type { Kind, Resource } from '../../src/api/index.ts';
import { type ApiClient, type KubeObject, splitKey } from '../runtime/index.ts';
import { byOwner, type Caches, ownerKey } from './caches.ts';
import type { Notes } from './notes.ts';
import { type Job, type Pod, podsOf, since } from './objects.ts';
import { isStarting, patience } from './pod-trouble.ts';
import type { Recent } from './recent.ts';
import type { Reports } from './reports.ts';
import { readSpec } from './spec.ts';
import { isSilent } from './stage-state.ts';
import type { Inputs, KindRules, StageName } from './stages.ts';
import { latestAttempt, type Observed } from './verdict.ts';

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
): Promise<Observed | undefined> {
  const { caches, recent, reports } = options;
  const { namespace, name } = splitKey(key);
  const cached = caches.resources[rules.kind].get(namespace, name);
  if (cached === undefined) return undefined;
  const object = recent.object(cached);
  const uid = object.metadata.uid ?? '';
  const owner = ownerKey(namespace, uid);
  const jobs = recent.jobs(uid, caches.jobs.byIndex(byOwner, owner));
  const pods = caches.pods.byIndex(byOwner, owner);
  const resource = readSpec(rules, object);
  const attempt = latestAttempt(object, jobs);
  return {
    object,
    jobs,
    pods,
    dependencies: resource ? dependenciesOf(rules, resource, namespace, caches, recent) : {},
    claims: new Map(),
    notes: await notesOn(jobs, pods, options),
    refusal: recent.refusal(uid),
    reports: {
      connected: options.connected(),
      heardMilliseconds: options.heardMilliseconds(),
      results: Object.fromEntries(
        rules.stages.map((stage) => [stage, reports?.resultOf(uid, stage, attempt)]),
      ) as Partial<Record<StageName, unknown>>,
    },
  };
}

function dependenciesOf<R extends Resource>(
  rules: KindRules<R>,
  resource: R,
  namespace: string,
  { resources }: Caches,
  recent: Recent,
): Observed['dependencies'] {
  const found = (kind: Kind, name: string) => {
    const object = resources[kind].get(namespace, name);
    return object && recent.object(object);
  };
  return Object.fromEntries(
    rules.references(resource).map(({ input, kind, name }) => [input, found(kind, name)]),
  ) as Partial<Record<keyof Inputs, KubeObject | undefined>>;
}

/** What events say of each Job that has no pods and each pod that has no container, by uid. */
function notesOn(
  jobs: readonly Job[],
  pods: readonly Pod[],
  { notes, clock }: ObserveOptions,
): Promise<ReadonlyMap<string, string>> {
  const now = clock();
  return notes.about([
    ...jobs.filter((job) => isSilent(job, podsOf(job, pods), now)),
    ...pods.filter(
      (pod) => isStarting(pod) && since(pod.metadata.creationTimestamp, now) > patience.starting,
    ),
  ]);
}
