/** What is kept of metadata that is past all bounds: the API server bounds labels and owner references by the object's size alone. */
import { isKind } from '../../../src/api/index.ts';
import { type KubeObject, leftOut, type ObjectMeta, type OwnerReference } from '../../runtime/index.ts';
import { queueName } from '../identity.ts';
import { annotation, completionIndex, label } from '../names.ts';

/** As JSON. Some kilobytes are usual; in memory so many small labels are seven times as large. */
const mostCharacters = 65_536;
/** No object needs as many of one sort. */
const mostKept = 64;
/** An object of ours has one. */
const mostOwners = 8;
/** Of a name or a value that is kept. */
const longestKept = 1024;

const labelsRead: ReadonlySet<string> = new Set([...Object.values(label), queueName]);
const annotationsRead: ReadonlySet<string> = new Set([...Object.values(annotation), completionIndex]);

/** An object whose metadata, where that is huge, is only what the operator reads of it; any other object as it is. */
export function withoutHugeMetadata<T extends KubeObject>(object: T): T {
  const { metadata } = object;
  return JSON.stringify(metadata).length <= mostCharacters
    ? object
    : { ...object, metadata: metadataRead(metadata) };
}

/** What the operator reads of an object's metadata. */
export function metadataRead(metadata: ObjectMeta): ObjectMeta {
  const { name, namespace, uid, resourceVersion, generation, creationTimestamp, deletionTimestamp } =
    metadata;
  const { labels = {}, annotations = {}, ownerReferences = [] } = metadata;
  const kept = { name, namespace, uid, resourceVersion, generation, creationTimestamp, deletionTimestamp };
  return {
    ...(Object.fromEntries(
      Object.entries(kept).filter(([, value]) => value !== undefined),
    ) as unknown as ObjectMeta),
    labels: { ...some(labels, handedToJobs), ...some(labels, (key) => labelsRead.has(key)) },
    annotations: some(annotations, (key) => annotationsRead.has(key)),
    ownerReferences: ownersAmong(ownerReferences),
  };
}

/** They only go on to the resource's Jobs. */
const handedToJobs = (key: string): boolean => key.startsWith('kueue.x-k8s.io/');

const some = (words: Readonly<Record<string, string>>, isRead: (key: string) => boolean) =>
  Object.fromEntries(
    Object.entries(words)
      .filter(([key]) => isRead(key))
      .slice(0, mostKept)
      // What is longer than any that is right is refused as a wrong one is.
      .map(([key, value]) => [key, value.length > longestKept ? leftOut : value]),
  );

/** In their order: the first of a kind counts. Of controllers there is one at most. */
function ownersAmong(owners: readonly OwnerReference[]): OwnerReference[] {
  const ofOurs = owners.filter(({ kind }) => kind === 'Job' || isKind(kind)).slice(0, mostOwners);
  const kept = new Set([...ofOurs, ...owners.filter(({ controller }) => controller)]);
  return owners.filter(
    (owner) => kept.has(owner) && Object.values(owner).every((value) => String(value).length <= longestKept),
  );
}
