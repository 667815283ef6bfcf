/** By what it is told whether something is still the same: a spec, an attempt, what it reads, its queue, its owner. */
import { fingerprint, inLists } from '../../src/api/index.ts';
import type { KubeObject } from '../runtime/index.ts';
import type { Json } from './json.ts';
import type { Inputs, ReadArtifact } from './stages.ts';

/**
 * Whole hashes: of 64 bits, who makes a resource finds in minutes two specs that have the same, and has one done in the name
 * of the other. So many letters of them earlier versions wrote into statuses and Jobs.
 */
const earlierLengths: readonly number[] = [10, 16];

/** Whether a hash in a status or a Job is this one, also where an earlier version wrote it: what was done or runs is not begun again. */
export const isHash = (stored: string | undefined, hash: string): boolean =>
  stored === hash ||
  (stored !== undefined && earlierLengths.includes(stored.length) && hash.startsWith(stored));

/** An attempt is another one when its spec, beyond what a running Job can ignore, is another. */
export function runHashOf({ kind, spec }: KubeObject): string {
  const { suspend: _, ttlSecondsAfterFinished: __, ...run } = spec as Json;
  return fingerprint({ kind, run });
}

export const inputsHashOf = (inputs: Inputs): string => fingerprint(addressesOf(inputs));

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
