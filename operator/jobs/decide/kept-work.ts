/** Of what only one may be made, the work place remembers that it was: where that is another, a second one would be made. */
import type { Resource } from '../../../src/api/index.ts';
import type { Json } from '../json.ts';
import { workOnce } from '../work-once.ts';
import type { Runnable } from './attempt.ts';
import { badSpec } from './bad-spec.ts';
import type { Context, Ruling } from './ruling.ts';

/** What the status says of it when an artifact is done, also where no pod has said so: an earlier version's say nothing. */
export function keptWork(resource: Resource, { keptIn = workOnce(resource) }: Context): Json {
  return keptIn === undefined ? {} : { keptIn };
}

/** What was made is not known where the work would go now. */
export function workMoved<R extends Resource>({
  resource,
  status: { artifact },
  observed,
  keptIn,
}: Runnable<R>): Ruling | undefined {
  const work = workOnce(resource);
  if (keptIn === undefined || work === undefined || work === keptIn) return undefined;
  const made = artifact === undefined ? '' : ` (the last at ${artifact.uri}, ${artifact.digest})`;
  const absent = resource.spec.work === undefined ? ', by spec.output.uri where spec.work is absent' : '';
  return badSpec(
    [
      {
        field: 'spec.work.uri',
        reason:
          `must name ${keptIn}, where this resource remembers which adapters it has made or begun under spec.privacy${made}; it is ${work} now${absent}, ` +
          'where nothing is known of them: a second adapter of one training under another noise would tell more of its rows than epsilon says. ' +
          'Name the earlier place, or make another resource under another name, which costs its own epsilon',
      },
    ],
    observed.jobs,
  );
}
