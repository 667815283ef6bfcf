/** By what it is told whether something is still the same: a spec, an attempt, what it reads, its queue, its owner. */
import { fingerprint, hashOfSpec, inLists, type Kind } from '../../src/api/index.ts';
import type { KubeObject } from '../runtime/index.ts';
import type { Json } from './json.ts';
import type { Inputs, ReadArtifact } from './stages.ts';

/** 64 bits: of fewer, who makes a resource finds two specs with one hash, and has one done in the name of the other. */
const hashLength = 16;
/** What statuses of earlier versions have of it. */
const earlierLength = 10;

/** The part of a spec's hash that is in the status. */
export const specHashOf = (kind: Kind, uid: string, spec: object): string =>
  hashOfSpec(kind, uid, spec).slice(0, hashLength);

/** Whether a status is about the spec with this hash, also where an earlier version wrote it: what was done is not done again. */
export const isAbout = (stored: string | undefined, specHash: string): boolean =>
  stored === specHash || (stored?.length === earlierLength && specHash.startsWith(stored));

/** An attempt is another one when its spec, beyond what a running Job can ignore, is another. */
export function runHashOf({ kind, spec }: KubeObject): string {
  const { suspend: _, ttlSecondsAfterFinished: __, ...run } = spec as Json;
  return fingerprint({ kind, run }).slice(0, 16);
}

export const inputsHashOf = (inputs: Inputs): string => fingerprint(addressesOf(inputs)).slice(0, 16);

/** The inputs as the status has them: address and digest, by role, several of one kind in a list. */
export function addressesOf(inputs: Inputs): Record<string, ReadArtifact | ReadArtifact[]> {
  return inLists(
    Object.fromEntries(Object.entries(inputs).map(([role, { uri, digest }]) => [role, { uri, digest }])),
  );
}

export function ownerReference({ apiVersion, kind, metadata: { name, uid = '' } }: KubeObject) {
  return { apiVersion, kind, name, uid, controller: true, blockOwnerDeletion: true };
}

export const queueName = 'kueue.x-k8s.io/queue-name';

/** The queue that a resource asks for; empty where it asks for none. */
export const queueOf = ({ metadata }: KubeObject): string => metadata.labels?.[queueName] ?? '';
