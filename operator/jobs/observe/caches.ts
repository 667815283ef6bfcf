/** The informers that the operator reads from: our kinds, their Jobs and their pods, in the namespaces it watches. */
import {
  allKinds,
  group,
  type Kind,
  kinds,
  referencesOf,
  version,
  workerContainer,
} from '../../../src/api/index.ts';
import {
  type ApiClient,
  Informer,
  type InformerOptions,
  jobs,
  type KubeObject,
  leftOut,
  pods,
  type ResourceType,
  type RuntimeMetrics,
} from '../../runtime/index.ts';
import { label, ours } from '../names.ts';
import { type Container, type Job, ownerResource, ownerUidOf, type Pod } from '../objects.ts';
import { outputKeys, outputOf, writesOf } from '../outputs.ts';
import { withoutHugeTemplate } from '../spec/template-form.ts';
import { bounded, written } from './bounded.ts';
import { withoutHugeMetadata } from './metadata.ts';

export const typeOf = (kind: Kind): ResourceType => ({
  group,
  version,
  plural: kinds[kind].names.plural,
  kind,
  namespaced: true,
});

/** One cache over several informers, one a namespace; or over a single one for all namespaces. */
export class Cache<T extends KubeObject> {
  readonly #informers: ReadonlyMap<string | undefined, Informer<T>>;

  constructor(
    client: ApiClient,
    type: ResourceType,
    namespaces: readonly string[],
    options: InformerOptions<T> = {},
  ) {
    const { shorten = (whole: T) => whole } = options;
    const places: (string | undefined)[] = namespaces.length > 0 ? [...namespaces] : [undefined];
    this.#informers = new Map(
      places.map((namespace) => [
        namespace,
        new Informer<T>(client, type, {
          ...options,
          shorten: (object) => shorten(withoutHugeMetadata(object)),
          ...(namespace !== undefined && { namespace }),
        }),
      ]),
    );
  }

  start(signal: AbortSignal): Promise<void> {
    return Promise.all(this.#all.map((informer) => informer.start(signal))).then(() => {});
  }

  /** Reads the lists anew. */
  async refresh(): Promise<void> {
    await Promise.all(this.#all.map((informer) => informer.refresh()));
  }

  /** Of several namespaces, those that the API server refuses are gone, and with them our rights: they keep none away. */
  get synced(): Promise<unknown> {
    const all = this.#all;
    return Promise.all(all.map(({ settled }) => settled))
      .then(() => Promise.any(all.map(({ synced }) => synced)))
      .catch((error: unknown) => {
        throw error instanceof AggregateError ? error.errors[0] : error;
      });
  }

  get hasSynced(): boolean {
    const all = this.#all;
    return (
      all.every(({ hasSynced, isRefused }) => hasSynced || isRefused) &&
      all.some(({ hasSynced }) => hasSynced)
    );
  }

  /** Whether what is in this namespace is known. */
  covers(namespace: string): boolean {
    return (this.#informers.get(namespace) ?? this.#informers.get(undefined))?.hasSynced ?? false;
  }

  get(namespace: string, name: string): T | undefined {
    return (this.#informers.get(namespace) ?? this.#informers.get(undefined))?.get(namespace, name);
  }

  list(): T[] {
    return this.#all.flatMap((informer) => informer.list());
  }

  byIndex(index: string, value: string): T[] {
    return this.#all.flatMap((informer) => informer.byIndex(index, value));
  }

  onChange(listener: (object: T | undefined, old: T | undefined) => void): void {
    for (const informer of this.#all) informer.onChange(listener);
  }

  get #all(): Informer<T>[] {
    return [...this.#informers.values()];
  }
}

/** A cache, whatever it holds. */
export type Followed = Pick<Cache<KubeObject>, 'start' | 'synced' | 'hasSynced' | 'refresh' | 'covers'>;

/** Jobs by the resource that they belong to, pods by their Job: each by uid. */
export const byOwner = 'owner';
/** Jobs and pods by the kind and name, or the uid, that their labels name; hints where owners are gone. */
export const byLabel = 'label';
/** Resources, Jobs and pods by the output that they write. */
export const byOutput = 'output';
/** Resources by the one that they refer to. */
export const byReference = 'reference';

export interface Caches {
  readonly resources: Readonly<Record<Kind, Cache<KubeObject>>>;
  readonly jobs: Cache<Job>;
  readonly pods: Cache<Pod>;
}

/**
 * How many objects of a list come at once. Each may have 1.5 MB of text and becomes some megabytes more (huge fields are left
 * out before they are parsed), and several lists are read at the same time: with more, a tenant's few large objects would
 * fill our memory.
 */
const pageSizes = { resources: 5, jobs: 10, pods: 10 };

export function openCaches(
  client: ApiClient,
  namespaces: readonly string[],
  metrics: RuntimeMetrics,
): Caches {
  const selected = { labelSelector: `${Object.keys(ours)[0]}=${Object.values(ours)[0]}`, metrics };
  const labelled = { [byLabel]: labelKeys, [byOutput]: outputKeysOf(writesOf) };
  const cacheOf = (kind: Kind) =>
    new Cache<KubeObject>(client, typeOf(kind), namespaces, {
      metrics,
      indexes: { [byReference]: referredBy, [byOutput]: outputKeysOf(outputOf) },
      shorten: withoutHugeTemplate,
      pageSize: pageSizes.resources,
    });
  return {
    resources: Object.fromEntries(allKinds().map((kind) => [kind, cacheOf(kind)])) as Caches['resources'],
    jobs: new Cache<Job>(client, jobs, namespaces, {
      ...selected,
      indexes: { ...labelled, [byOwner]: ownerKeys(ownerResource) },
      shorten: (job) => bounded(withoutTemplate(job)),
      pageSize: pageSizes.jobs,
    }),
    pods: new Cache<Pod>(client, pods, namespaces, {
      ...selected,
      indexes: { ...labelled, [byOwner]: ownerKeys(ownerUidOf) },
      shorten: (pod) => bounded(withoutPlan(pod)),
      pageSize: pageSizes.pods,
    }),
  };
}

/** Only what lies beside a resource is its own: whoever may label Jobs elsewhere is not to say how it went. */
export const ownerKey = (namespace: string | undefined, uid: string): string => `${namespace}/${uid}`;

const ownerKeys = (ownerOf: (object: KubeObject) => string | undefined) => (object: KubeObject) => {
  const uid = ownerOf(object);
  return uid === undefined ? [] : [ownerKey(object.metadata.namespace, uid)];
};

export const outputKeysOf =
  <T extends KubeObject>(outputIn: (object: T) => string | undefined) =>
  (object: T): string[] => {
    const address = outputIn(object);
    return address === undefined ? [] : outputKeys(object.metadata.namespace, address);
  };

/** What labels say of the resource that an object works for: its uid, and its kind and name, which the next one may have. */
export function labelKeys({ metadata: { namespace, labels = {} } }: KubeObject): string[] {
  const { [label.ownerUid]: uid, [label.ownerKind]: kind, [label.ownerName]: name } = labels;
  return [
    ...(uid === undefined ? [] : [ownerKey(namespace, uid)]),
    ...(kind === undefined || name === undefined ? [] : [referenceKey(kind, namespace ?? '', name)]),
  ];
}

/** Jobs and pods are only read, and most of their bytes are what their pods are to be. */
function withoutTemplate(job: Job): Job {
  const { suspend, completions } = job.spec ?? {};
  return {
    ...job,
    spec: {
      ...written(job),
      ...(suspend !== undefined && { suspend }),
      ...(completions !== undefined && { completions }),
    },
  };
}

function withoutPlan(pod: Pod): Pod {
  const { nodeName, containers, initContainers } = pod.spec ?? {};
  return {
    ...pod,
    spec: {
      ...written(pod),
      ...(nodeName !== undefined && { nodeName }),
      containers: containersIn(containers),
      ...(initContainers && { initContainers: containersIn(initContainers) }),
    },
  };
}

/** As JSON. A pod has a few containers. */
const mostOfContainers = 65_536;

/** What is read of them; where that is huge, of the worker alone. */
function containersIn(all: readonly Container[] | typeof leftOut = []): Container[] {
  if (all === leftOut) return [];
  const kept = all.map(
    ({ name, image, restartPolicy, ...container }) =>
      ({
        name,
        image,
        restartPolicy,
        ...(name === workerContainer && { resources: memoryIn(container) }),
      }) as Container,
  );
  return JSON.stringify(kept).length <= mostOfContainers
    ? kept
    : kept.flatMap(({ name, resources = {} }) => (name === workerContainer ? [{ name, resources }] : []));
}

function memoryIn({ resources = {} }: Pick<Container, 'resources'>): Container['resources'] {
  const of = ({ memory }: Readonly<Record<string, string>> = {}) => (memory === undefined ? {} : { memory });
  return { requests: of(resources.requests), limits: of(resources.limits) };
}

/** `Kind/namespace/name` of what a resource refers to, read from the raw object: its spec may be wrong elsewhere. */
export const referredBy = (object: KubeObject): string[] =>
  referencesOf(object).map(({ kind, name }) => referenceKey(kind, object.metadata.namespace ?? '', name));

export const referenceKey = (kind: string, namespace: string, name: string): string =>
  `${kind}/${namespace}/${name}`;
