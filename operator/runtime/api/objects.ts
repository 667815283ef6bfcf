/** Kubernetes objects as they travel: raw JSON, so that fields which this code does not know are never dropped. */

export interface OwnerReference {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
  controller?: boolean;
  blockOwnerDeletion?: boolean;
}

export interface ObjectMeta {
  name: string;
  /** Absent on cluster-scoped objects. */
  namespace?: string;
  uid?: string;
  resourceVersion?: string;
  generation?: number;
  creationTimestamp?: string;
  deletionTimestamp?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  ownerReferences?: OwnerReference[];
  finalizers?: string[];
  [field: string]: unknown;
}

export interface KubeObject {
  apiVersion: string;
  kind: string;
  metadata: ObjectMeta;
  [field: string]: unknown;
}

export interface ObjectList<T extends KubeObject> {
  items: T[];
  metadata: { resourceVersion: string; continue?: string };
}

/** One kind of object as the API server serves it; the core group is ''. */
export interface ResourceType {
  group: string;
  version: string;
  plural: string;
  kind: string;
  namespaced: boolean;
}

export const apiVersionOf = ({ group, version }: ResourceType): string =>
  group === '' ? version : `${group}/${version}`;

/** `namespace/name`, or the name alone of a cluster-scoped object. */
export const keyOf = ({ metadata: { namespace, name } }: KubeObject): string => keyFrom(namespace, name);

export const keyFrom = (namespace: string | undefined, name: string): string =>
  namespace === undefined ? name : `${namespace}/${name}`;

/** The parts of a key that `keyOf` made of a namespaced object. */
export function splitKey(key: string): { namespace: string; name: string } {
  const [namespace, name, ...more] = key.split('/');
  if (!namespace || !name || more.length > 0) throw new Error(`${key} is not namespace/name`);
  return { namespace, name };
}

/**
 * The API server's path of a collection, an object, or an object's subresource.
 * @param namespace required for an object of a namespaced kind; without it, a collection spans all namespaces
 */
export function pathOf(
  type: ResourceType,
  namespace: string | undefined,
  name?: string,
  subresource?: string,
): string {
  if (type.namespaced && name !== undefined && !namespace)
    throw new Error(`${type.kind} ${name}: no namespace`);
  const root = type.group === '' ? `/api/${type.version}` : `/apis/${type.group}/${type.version}`;
  const scope = type.namespaced && namespace ? ['namespaces', namespace] : [];
  const parts = [...scope, type.plural, name, subresource].filter((part) => part !== undefined);
  return [root, ...parts.map(encodeURIComponent)].join('/');
}

/** Which of two resource versions is newer; versions of one API group are numbers that only grow. */
export function isNewer(version: string | undefined, than: string | undefined): boolean {
  if (version === undefined || than === undefined) return true;
  if (version.length !== than.length) return version.length > than.length;
  return version > than;
}
