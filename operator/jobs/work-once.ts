/** Of what only one may be made, the work place remembers that it was: which place that is, by the spec and by its pods. */
import { addressOf, hiddenWorkOf, kinds, type Resource } from '../../src/api/index.ts';
import { annotation } from './names.ts';
import { hasBegun, type Pod } from './objects.ts';
import type { StoredStatus } from './stored.ts';

/** The place of the work of such a resource; undefined where there may be any number of its artifacts. */
export function workOnce({ kind, spec }: Resource): string | undefined {
  if (kinds[kind].mustKeep?.(spec) === undefined) return undefined;
  const uri = spec.work?.uri ?? hiddenWorkOf(spec.output.uri);
  return uri && addressOf(uri);
}

/** Where the first of the resource's pods that began such work has it, for good: whatever its spec says by now, that pod says. */
export function keptInOf({ keptIn }: StoredStatus, pods: readonly Pod[]): string | undefined {
  const begun = pods.filter(hasBegun).flatMap(({ metadata: { annotations, creationTimestamp = '' } }) => {
    const place = annotations?.[annotation.keptIn];
    return place === undefined ? [] : [{ place, creationTimestamp }];
  });
  begun.sort((a, b) => a.creationTimestamp.localeCompare(b.creationTimestamp));
  return keptIn ?? begun[0]?.place;
}
