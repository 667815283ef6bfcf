/** What the policies see, what they say, and how that becomes the status to write. */
import { fingerprint, hashOfSpec, type Resource } from '../../../src/api/index.ts';
import type { KubeObject } from '../../runtime/index.ts';
import type { JobSettings } from '../build/job.ts';
import { isHash } from '../identity.ts';
import type { Json } from '../json.ts';
import { attemptOf, type Job } from '../objects.ts';
import type { Situation } from '../situation.ts';
import type { KindRules, StageName } from '../stages.ts';
import { type StoredStatus, statusOf } from '../stored.ts';
import { keptInOf } from '../work-once.ts';
import { type EventToTell, eventsOf, nextConditions, type Statement } from './conditions.ts';

/** What is to be done, in this order: status, remove, create, events. */
export interface Decision {
  /** The policy that decided; none does of what is being deleted. */
  readonly by?: string;
  /** The whole status but progress; absent when it stays as it is. */
  readonly status?: Json;
  readonly remove: readonly KubeObject[];
  /** Made once: one of the same name that is there already is the one meant. */
  readonly create: readonly KubeObject[];
  readonly events: readonly EventToTell[];
  readonly lookAgainMilliseconds?: number;
}

export const nothing: Decision = { remove: [], create: [], events: [] };

export interface Context<R extends Resource = Resource> extends Situation {
  readonly rules: KindRules<R>;
  readonly settings: JobSettings;
  readonly now: Date;
  readonly status: StoredStatus;
  readonly generation: number;
  readonly specHash: string;
  /** The work place that remembers of what only one may be made, once one was begun. */
  readonly keptIn: string | undefined;
}

export type Phase = 'Pending' | 'Running' | 'Suspended' | 'Complete' | 'Failed';

export interface Ruling {
  readonly phase: Phase;
  /** What holds. */
  readonly statements: readonly Statement[];
  /** The one under way, or that failed. */
  readonly stage?: StageName | undefined;
  /** A new one forgets what earlier ones found. */
  readonly attempt?: number;
  /** Whether the attempt runs the spec as it is now; then the status is about it. */
  readonly isAboutSpec?: boolean;
  /** Of the status: what a stage found, or the inputs. */
  readonly fields?: Json;
  /** When the work ended; now when absent. */
  readonly endedAt?: string;
  readonly remove?: readonly KubeObject[];
  readonly create?: readonly KubeObject[];
  readonly events?: readonly EventToTell[];
  readonly lookAgainMilliseconds?: number | undefined;
}

export function contextOf<R extends Resource>(
  rules: KindRules<R>,
  situation: Situation,
  settings: JobSettings,
  now: Date,
): Context<R> {
  const { object, pods } = situation.observed;
  const status = statusOf(object);
  const spec = object['spec'] as Json;
  return {
    ...situation,
    rules,
    settings,
    now,
    status,
    keptIn: keptInOf({ kind: rules.kind, spec, status, pods }),
    generation: object.metadata.generation ?? 1,
    specHash: hashOfSpec(rules.kind, object.metadata.uid ?? '', spec),
  };
}

/** The decision for a ruling; the status is in it only where it changes. */
export function conclude<R extends Resource>(
  context: Context<R>,
  ruling: Ruling & { readonly by: string },
): Decision {
  const { status, observed, generation, now } = context;
  const { progress: _, ...before } = status;
  const after = nextStatus(
    context,
    ruling,
    nextConditions(status.conditions, ruling.statements, generation, now),
  );
  const changed = fingerprint(before) !== fingerprint(after);
  const told = changed ? eventsOf(status.conditions, ruling.statements) : [];
  return {
    by: ruling.by,
    ...(changed && { status: after }),
    remove: (ruling.remove ?? []).filter(({ metadata }) => metadata.deletionTimestamp === undefined),
    create: observed.object.metadata.deletionTimestamp === undefined ? (ruling.create ?? []) : [],
    events: [...(ruling.events ?? []), ...told],
    ...(ruling.lookAgainMilliseconds !== undefined && {
      lookAgainMilliseconds: Math.max(100, ruling.lookAgainMilliseconds),
    }),
  };
}

/** Set by `nextStatus` itself; everything else in a status is what a stage found. */
const own = [
  'phase',
  'stage',
  'conditions',
  'observedGeneration',
  'startTime',
  'completionTime',
  'attempt',
  'specHash',
];

function nextStatus<R extends Resource>(
  { status, generation, specHash, keptIn, observed, now }: Context<R>,
  ruling: Ruling,
  conditions: unknown,
): Json {
  const { progress: _, ...before } = status;
  const attempt = ruling.attempt ?? status.attempt;
  const another = ruling.attempt !== undefined && ruling.attempt !== status.attempt;
  const found = Object.fromEntries(
    Object.entries(before).filter(([name]) => !another && !own.includes(name)),
  );
  const earlierStart = another ? undefined : status.startTime;
  const hasEnded = ruling.phase === 'Complete' || ruling.phase === 'Failed';
  const isRunning = ruling.phase === 'Running';
  const startTime =
    earlierStart ??
    (isRunning || hasEnded ? startOf(observed.jobs, attempt) : undefined) ??
    (isRunning ? now.toISOString() : undefined);
  const hadEnded = status.phase === ruling.phase && !another;
  const completionTime = hasEnded
    ? ((hadEnded ? status.completionTime : undefined) ?? ruling.endedAt ?? now.toISOString())
    : undefined;
  return defined({
    ...found,
    // A new attempt does not forget it.
    keptIn,
    ...ruling.fields,
    phase: ruling.phase,
    stage: ruling.stage,
    conditions,
    observedGeneration: generation,
    startTime,
    completionTime,
    attempt,
    // One that an earlier version wrote stays as it is: that version may lead again, and knows no other.
    specHash: ruling.isAboutSpec && !isHash(status.specHash, specHash) ? specHash : status.specHash,
  });
}

/** When the attempt's first Job started: work that began and ended unseen has a start, too. */
const startOf = (jobs: readonly Job[], attempt: number | undefined): string | undefined =>
  jobs
    .filter((job) => attemptOf(job) === attempt)
    .flatMap((job) => job.status?.startTime ?? [])
    .sort()[0];

const defined = (value: Json): Json =>
  Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined));
