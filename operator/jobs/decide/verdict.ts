/** What the policies see, what they say, and how that becomes the status to write. */
import { fingerprint, type Resource } from '../../../src/api/index.ts';
import type { KubeObject } from '../../runtime/index.ts';
import type { JobSettings } from '../build/job.ts';
import { specHashOf } from '../names.ts';
import { attemptOf, type Job, type Pod } from '../objects.ts';
import type { Inputs, KindRules, StageName } from '../stages.ts';
import type { Json } from '../template.ts';
import { type EventToTell, eventsOf, nextConditions, type Statement } from './conditions.ts';
import { type StoredStatus, statusOf } from './dependencies.ts';

/** Everything that was read, at one moment, about one resource. */
export interface Observed {
  readonly object: KubeObject;
  /** The resource's own Jobs, and the pods of these and those that carry its uid. */
  readonly jobs: readonly Job[];
  readonly pods: readonly Pod[];
  /** Jobs and pods that are not its own, of its kind and name or of its output, and may still write there. */
  readonly others: readonly (Job | Pod)[];
  /** What the references name, by input. */
  readonly dependencies: Readonly<Partial<Record<keyof Inputs, KubeObject | undefined>>>;
  /** The claims whose access modes matter, by name; undefined where there is none. */
  readonly claims: ReadonlyMap<string, KubeObject | undefined>;
  /** By uid: what events say about a Job or pod that does not get on. */
  readonly notes: ReadonlyMap<string, string>;
  readonly reports: {
    /** Whether NATS can be heard; undefined where there is none. */
    readonly connected: boolean | undefined;
    /** For how long NATS was heard without a break: a report of before had that long to arrive. */
    readonly heardMilliseconds?: number | undefined;
    readonly results: Readonly<Partial<Record<StageName, unknown>>>;
  };
  /** The API server's last refusal of this resource's Job. */
  readonly refusal?: Refusal | undefined;
}

export interface Refusal {
  readonly message: string;
  /** Whether the Job itself is wrong: the same one is not tried again. */
  readonly final: boolean;
  /** The spec that it was made from. */
  readonly generation: number;
  /** Milliseconds since the epoch. */
  readonly tryAgainAt: number;
}

/** What is to be done, in this order: status, remove, create, events. */
export interface Decision {
  /** The whole status but progress; absent when it stays as it is. */
  readonly status?: Json;
  readonly remove: readonly KubeObject[];
  /** Made once: one of the same name that is there already is the one meant. */
  readonly create: readonly KubeObject[];
  readonly events: readonly EventToTell[];
  readonly lookAgainMilliseconds?: number;
}

export const nothing: Decision = { remove: [], create: [], events: [] };

export interface Context<R extends Resource = Resource> {
  readonly rules: KindRules<R>;
  readonly observed: Observed;
  readonly settings: JobSettings;
  readonly now: Date;
  readonly status: StoredStatus;
  readonly generation: number;
  readonly specHash: string;
  /** The latest attempt that was decided on or has a Job; 0 when there was none. */
  readonly latest: number;
}

export type Phase = 'Pending' | 'Running' | 'Suspended' | 'Complete' | 'Failed';

export interface Verdict {
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
  observed: Observed,
  settings: JobSettings,
  now: Date,
): Context<R> {
  const { object, jobs } = observed;
  const status = statusOf(object);
  return {
    rules,
    observed,
    settings,
    now,
    status,
    generation: object.metadata.generation ?? 1,
    specHash: specHashOf(rules.kind, object.metadata.uid ?? '', object['spec'] as object),
    latest: latestAttempt(object, jobs),
  };
}

/** The latest attempt that was decided on or has a Job; 0 when there was none. */
export function latestAttempt(object: KubeObject, jobs: readonly Job[]): number {
  const { attempt = 0 } = statusOf(object);
  // An attempt is in the status before its Job is made: one that is far ahead of it was made by somebody else.
  return Math.max(attempt, ...jobs.map(attemptOf).filter((made) => made <= attempt + farAhead));
}

/** A status that was lost, or that this cache does not show yet, is not behind by more. */
const farAhead = 1000;

/** The decision for a verdict; the status is in it only where it changes. */
export function conclude<R extends Resource>(context: Context<R>, verdict: Verdict): Decision {
  const { status, observed, generation, now } = context;
  const { progress: _, ...before } = status;
  const after = nextStatus(
    context,
    verdict,
    nextConditions(status.conditions, verdict.statements, generation, now),
  );
  const changed = fingerprint(before) !== fingerprint(after);
  const told = changed ? eventsOf(status.conditions, verdict.statements) : [];
  return {
    ...(changed && { status: after }),
    remove: (verdict.remove ?? []).filter(({ metadata }) => metadata.deletionTimestamp === undefined),
    create: observed.object.metadata.deletionTimestamp === undefined ? (verdict.create ?? []) : [],
    events: [...(verdict.events ?? []), ...told],
    ...(verdict.lookAgainMilliseconds !== undefined && {
      lookAgainMilliseconds: Math.max(100, verdict.lookAgainMilliseconds),
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
  { status, generation, specHash, observed, now }: Context<R>,
  verdict: Verdict,
  conditions: unknown,
): Json {
  const { progress: _, ...before } = status;
  const attempt = verdict.attempt ?? status.attempt;
  const another = verdict.attempt !== undefined && verdict.attempt !== status.attempt;
  const found = Object.fromEntries(Object.entries(before).filter(([name]) => !own.includes(name)));
  const earlierStart = another ? undefined : status.startTime;
  const hasEnded = verdict.phase === 'Complete' || verdict.phase === 'Failed';
  const isRunning = verdict.phase === 'Running';
  const startTime =
    earlierStart ??
    (isRunning || hasEnded ? startOf(observed.jobs, attempt) : undefined) ??
    (isRunning ? now.toISOString() : undefined);
  const hadEnded = status.phase === verdict.phase && !another;
  const completionTime = hasEnded
    ? ((hadEnded ? status.completionTime : undefined) ?? verdict.endedAt ?? now.toISOString())
    : undefined;
  return defined({
    ...(another ? {} : found),
    ...verdict.fields,
    phase: verdict.phase,
    stage: verdict.stage,
    conditions,
    observedGeneration: generation,
    startTime,
    completionTime,
    attempt,
    specHash: verdict.isAboutSpec ? specHash : status.specHash,
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
