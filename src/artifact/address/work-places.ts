// Where a resource's working files lie (checkpoints, analyses, pooled states), away from what others read.
import { join } from 'node:path';
import { hiddenWork, hiddenWorkOf, type Resource } from '../../api/index.ts';
import { type Mounts, resolveUri } from './address.ts';

/** Where everything of a resource lies that is not its artifact. */
export interface WorkPlaces {
  /** Of this resource alone: checkpoints, loss history, analyses, its whole result. */
  readonly own: string;
  /** Addressed by what it is of, and so shared by resources: pooled states, and what is computed of the same rows. */
  readonly shared: string;
  /** Whether it outlives the process. */
  readonly kept: boolean;
}

/** As much of a resource as says where its work lies. */
export interface WorkOwner {
  readonly kind: Resource['kind'];
  readonly metadata: { readonly name: string; readonly namespace?: string | undefined };
  readonly spec: Pick<Resource['spec'], 'output' | 'work'>;
}

/**
 * Never beside an output that others read: `spec.work`, else the installation's place, else a hidden directory of the
 * output's claim, else this machine's own disk.
 * @throws OffsiteError BadSpec naming the field
 */
export function workPlacesOf({ kind, metadata, spec }: WorkOwner, mounts: Mounts): WorkPlaces {
  const { root, kept } = rootOf(spec, mounts);
  const { name, namespace = 'default' } = metadata;
  return {
    own: join(root, kind.toLowerCase(), namespace, name),
    shared: join(root, 'pooled-states'),
    kept,
  };
}

function rootOf({ work, output }: WorkOwner['spec'], mounts: Mounts): { root: string; kept: boolean } {
  if (work !== undefined)
    return { root: resolveUri(work.uri, mounts, 'spec.work.uri', work.secretRef?.name), kept: true };
  if (mounts.work !== undefined) return { root: mounts.work, kept: true };
  const hidden = hiddenWorkOf(output.uri);
  if (hidden !== undefined) return { root: resolveUri(hidden, mounts, 'spec.output.uri'), kept: true };
  return {
    root: join(mounts.scratch ?? resolveUri('file:.', mounts, 'spec.output.uri'), hiddenWork),
    kept: false,
  };
}

/** Where unfinished trainings of a resource are saved: each has a directory of its own in it, cleared away at its end. */
export const checkpointsOf = (own: string): string => join(own, 'checkpoints');
