/** Follows references to the artifacts of other resources, or says what they wait for. */
import {
  artifactsOf,
  hashOfSpec,
  isTrue,
  type Kind,
  type Reference,
  type Resource,
  referencesOf,
} from '../../../src/api/index.ts';
import type { KubeObject } from '../../runtime/index.ts';
import { isHash } from '../identity.ts';
import { isBeingDeleted } from '../objects.ts';
import type { Inputs, ResolvedInput } from '../stages.ts';
import { holds, statusOf } from '../stored.ts';

export interface Waiting {
  readonly reason: string;
  readonly message: string;
}

export type Resolved = { readonly inputs: Inputs } | { readonly waiting: Waiting };

/** @param found the objects that the references name, by role; undefined where there is none */
export function resolve(
  resource: Resource,
  found: Readonly<Record<string, KubeObject | undefined>>,
): Resolved {
  const inputs: Record<string, ResolvedInput> = {};
  for (const { role, uri, digest, secret } of artifactsOf(resource))
    if (uri !== undefined && digest !== undefined) inputs[role] = { uri, digest, secret };
  for (const reference of referencesOf(resource)) {
    const resolved = follow(reference, found[reference.role]);
    if ('reason' in resolved) return { waiting: resolved };
    inputs[reference.role] = resolved;
  }
  return { inputs };
}

/** By its own measure: what is Complete stays so while the result-relevant part of its spec is the same. */
function isComplete(object: KubeObject, kind: Kind): boolean {
  const { conditions, specHash } = statusOf(object);
  const { uid = '' } = object.metadata;
  return (
    holds(object, 'Complete') !== undefined ||
    (isTrue(conditions, 'Complete') && isHash(specHash, hashOfSpec(kind, uid, object['spec'] as object)))
  );
}

function follow(
  { field, kind, name, secret }: Reference,
  object: KubeObject | undefined,
): ResolvedInput | Waiting {
  if (object === undefined || isBeingDeleted(object)) {
    return {
      reason: 'DependencyMissing',
      message: `${field}.ref: waits for ${kind} ${name} to be Complete; there is no such ${kind} in this namespace`,
    };
  }
  const failed = holds(object, 'Failed');
  if (failed) {
    return {
      reason: 'DependencyFailed',
      message: `${field}.ref: waits for ${kind} ${name} to be Complete; it has failed (${failed.reason}) and must be put right`,
    };
  }
  const { artifact } = statusOf(object);
  if (!isComplete(object, kind) || artifact === undefined) {
    return {
      reason: 'DependencyNotComplete',
      message: `${field}.ref: waits for ${kind} ${name} to be Complete`,
    };
  }
  // Where it writes, its spec alone says: a status holds what a pod has said, which an earlier operator took as it came.
  const { uri, secretRef } = (object['spec'] as Resource['spec']).output;
  const { digest, sizeBytes } = artifact;
  return { uri, digest, sizeBytes, secret: secret ?? secretRef?.name };
}
