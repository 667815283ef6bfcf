/** Of what only one may be made, the work place remembers that it was: which place that is, by the spec and by its pods. */
import { addressOf, hiddenWorkOf, kinds, type Resource } from '../../src/api/index.ts';
import type { Json } from './json.ts';
import { annotation } from './names.ts';
import { hasBegun, type Pod } from './objects.ts';
import type { StoredStatus } from './stored.ts';

/** The place of the work of such a resource; undefined where there may be any number of its artifacts. */
export function workOnce({ kind, spec }: Resource): string | undefined {
  if (kinds[kind].mustKeep?.(spec) === undefined) return undefined;
  const uri = spec.work?.uri ?? hiddenWorkOf(spec.output.uri);
  return uri && addressOf(uri);
}

interface Known {
  readonly kind: Resource['kind'];
  /** As it stands in the resource, checked or not. */
  readonly spec: Json;
  readonly status: StoredStatus;
  readonly pods: readonly Pod[];
}

/**
 * Where the first of the resource's pods that began such work has it, for good: whatever its spec says by now, that pod says. Of what
 * an earlier version's operator saw to its end no pod tells; where the spec names no place, its artifact's address does.
 */
export function keptInOf({ kind, spec, status, pods }: Known): string | undefined {
  const { keptIn, artifact } = status;
  const begun = pods.filter(hasBegun).flatMap(({ metadata: { annotations, creationTimestamp = '' } }) => {
    const place = annotations?.[annotation.keptIn];
    return place === undefined ? [] : [{ place, creationTimestamp }];
  });
  begun.sort((a, b) => a.creationTimestamp.localeCompare(b.creationTimestamp));
  const wasOnce = artifact !== undefined && kinds[kind].results.isOnce?.(status) === true;
  const beside = wasOnce && spec['work'] === undefined ? hiddenWorkOf(artifact.uri) : undefined;
  return keptIn ?? begun[0]?.place ?? (beside && addressOf(beside));
}
