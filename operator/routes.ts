/** From a change to the resources that it may concern: pure, by what the caches hold at that moment. */
import { allKinds, isKind, type Kind } from '../src/api/index.ts';
import {
  byOutput,
  byReference,
  type Job,
  label,
  type Pod,
  referenceKey,
  sharingKeys,
  writesOf,
} from './jobs/index.ts';
import { type KubeObject, keyFrom, keyOf } from './runtime/index.ts';

/** A resource by its kind and `namespace/name`; there may be none. */
export interface Route {
  readonly kind: Kind;
  readonly key: string;
}

/** What of the caches routes go by. */
export interface Known {
  readonly resources: Readonly<
    Record<
      Kind,
      {
        byIndex(index: string, value: string): readonly KubeObject[];
        list(): readonly KubeObject[];
      }
    >
  >;
  readonly jobs: { get(namespace: string, name: string): KubeObject | undefined };
}

/** The resource itself, and those that refer to it. */
export function routesOfResource(changed: KubeObject, { resources }: Known): Route[] {
  const { kind, metadata } = changed;
  const reference = referenceKey(kind, metadata.namespace ?? '', metadata.name);
  const referring = allKinds().flatMap((dependent) =>
    routesTo(dependent, resources[dependent].byIndex(byReference, reference)),
  );
  return [{ kind: kind as Kind, key: keyOf(changed) }, ...referring];
}

/** Whom a Job or pod belongs to, by owner or by label, as it is and as it was; and whoever waits for its output. */
export const routesOfRun = (states: readonly (Job | Pod | undefined)[], known: Known): Route[] =>
  states.flatMap((state) =>
    state === undefined ? [] : [...routesToOwners(state, known), ...routesToSharers(state, known)],
  );

/** Every resource that is known. */
export const routesToAll = ({ resources }: Known): Route[] =>
  allKinds().flatMap((kind) => routesTo(kind, resources[kind].list()));

const routesTo = (kind: Kind, objects: readonly KubeObject[]): Route[] =>
  objects.map((object) => ({ kind, key: keyOf(object) }));

function routesToOwners(object: Job | Pod, known: Known): Route[] {
  const { namespace, labels = {} } = object.metadata;
  const owners = [object, jobOf(object, known)].flatMap((own) => own?.metadata.ownerReferences ?? []);
  const named = { kind: labels[label.ownerKind] ?? '', name: labels[label.ownerName] ?? '' };
  return [named, ...owners].flatMap(({ kind, name }) =>
    isKind(kind) ? [{ kind, key: keyFrom(namespace, name) }] : [],
  );
}

function routesToSharers(object: Job | Pod, { resources }: Known): Route[] {
  const output = writesOf(object);
  if (output === undefined) return [];
  const places = sharingKeys(object.metadata.namespace, output);
  return allKinds().flatMap((kind) =>
    places.flatMap((place) => routesTo(kind, resources[kind].byIndex(byOutput, place))),
  );
}

function jobOf({ kind, metadata }: Job | Pod, { jobs }: Known): KubeObject | undefined {
  const { namespace = '', ownerReferences = [] } = metadata;
  const owner = kind === 'Pod' ? ownerReferences.find((reference) => reference.kind === 'Job') : undefined;
  return owner && jobs.get(namespace, owner.name);
}
