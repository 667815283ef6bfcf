/** Of what only one may be made, the work place remembers that it was: where that is another, a second one would be made. */
import { addressOf, hiddenWorkOf, kinds, type Resource } from '../../../src/api/index.ts';
import type { Json } from '../json.ts';
import type { StoredStatus } from '../stored.ts';
import type { Runnable } from './attempt.ts';
import { badSpec } from './bad-spec.ts';
import type { Ruling } from './ruling.ts';

/** The place of the work of such a resource; undefined where there may be any number of its artifacts. */
function workOnce({ kind, spec }: Resource): string | undefined {
  if (kinds[kind].mustKeep?.(spec) === undefined) return undefined;
  const uri = spec.work?.uri ?? hiddenWorkOf(spec.output.uri);
  return uri && addressOf(uri);
}

/** What the status says of it when an artifact is done: the first one's, for good. */
export function keptWork(resource: Resource, { keptIn }: StoredStatus): Json {
  const work = keptIn ?? workOnce(resource);
  return work === undefined ? {} : { keptIn: work };
}

/** What was made is not known where the work would go now. */
export function workMoved<R extends Resource>({
  resource,
  status,
  observed,
}: Runnable<R>): Ruling | undefined {
  const { keptIn, artifact } = status;
  const work = workOnce(resource);
  if (keptIn === undefined || work === undefined || work === keptIn) return undefined;
  const made = artifact === undefined ? '' : ` (the last at ${artifact.uri}, ${artifact.digest})`;
  const absent = resource.spec.work === undefined ? ', by spec.output.uri where spec.work is absent' : '';
  return badSpec(
    [
      {
        field: 'spec.work.uri',
        reason:
          `must name ${keptIn}, where this resource remembers which adapters it has made under spec.privacy${made}; it is ${work} now${absent}, ` +
          'where nothing is known of them: a second adapter of one training under another noise would tell more of its rows than epsilon says. ' +
          'Name the earlier place, or make another resource under another name, which costs its own epsilon',
      },
    ],
    observed.jobs,
  );
}
