/** Which attempt is wanted now, and what is left of earlier ones. Attempts of a resource never run at the same time. */
import { type Condition, isTrue, type Resource } from '../../../src/api/index.ts';
import { inputsHashOf, isHash, queueName, queueOf, runHashOf } from '../identity.ts';
import { annotation, label } from '../names.ts';
import {
  attemptOf,
  isBeingDeleted,
  isFinished,
  type Job,
  mayWrite,
  ownerUidOf,
  type Pod,
  stageOf,
} from '../objects.ts';
import { outputOf, writesOf } from '../outputs.ts';
import { patience } from '../patience.ts';
import { troubleOf } from '../pods/trouble.ts';
import type { StageName } from '../stages.ts';
import { holds, type StoredStatus } from '../stored.ts';
import type { Statement } from './conditions.ts';
import type { Resolved, Waiting } from './dependencies.ts';
import type { Context, Ruling } from './ruling.ts';

/** A resource whose spec is right. */
export interface Runnable<R extends Resource = Resource> extends Context<R> {
  readonly resource: R;
  readonly modelBytes: number | undefined;
}

/** An attempt under way. */
export interface Attempt<R extends Resource> extends Runnable<R> {
  readonly attempt: number;
  readonly resolved: Resolved;
  /** Whether it was made only to fetch a result that is there and did not arrive. */
  readonly recovering: boolean;
  /** What holds of the attempt, whatever its stages say. */
  readonly standing: readonly Statement[];
}

export function attemptNow<R extends Resource>(context: Runnable<R>, resolved: Resolved): Attempt<R> {
  const recovering = isTrue(context.status.conditions, 'ResultLost');
  return {
    ...context,
    attempt: Math.max(context.latest, 1),
    resolved,
    recovering,
    standing: recovering ? [{ type: 'ResultLost', ...resultLost(context.latest - 1) }] : [],
  };
}

/** What every ruling about an attempt under way says. */
export const about = <R extends Resource>({ attempt }: Attempt<R>) => ({ attempt, isAboutSpec: true });

/** Jobs of other attempts; they are removed, whatever they say. */
export const earlierJobs = <R extends Resource>({ observed, attempt }: Attempt<R>): Job[] =>
  observed.jobs.filter((job) => attemptOf(job) !== attempt);

/** The Job of the latest stage that the latest attempt has come to. */
export function furthestJob<R extends Resource>({ observed, latest, rules }: Runnable<R>): Job | undefined {
  const place = (job: Job) => rules.stages.indexOf(stageOf(job) as StageName);
  return observed.jobs
    .filter((job) => attemptOf(job) === latest)
    .sort((a, b) => place(b) - place(a))
    .at(0);
}

/**
 * What this operator itself found wrong, no stage having run into it. It holds as long as the check finds it: an annotation
 * is put right without a new generation, and a field may be one that only a later operator knows.
 */
export const isOwnRuling = ({ reason }: Condition, { stage }: StoredStatus): boolean =>
  reason === 'BadSpec' && stage === undefined;

/** Why the latest attempt cannot be what is wanted now. */
export function restartReason<R extends Resource>(
  { status, observed, generation }: Runnable<R>,
  job: Job | undefined,
  resolved: Resolved,
): string | undefined {
  if (status.phase === 'Suspended') return 'spec.suspend is false again';
  const failed = holds(observed.object, 'Failed');
  if (failed && isOwnRuling(failed, status)) return 'the spec is right for this operator';
  if (status.phase === 'Complete' || status.phase === 'Failed') return 'the spec was changed';
  if (job === undefined) return undefined;
  const { annotations } = job.metadata;
  if (!isHash(annotations?.[annotation.run], runHashOf(observed.object))) {
    return `the spec was changed (generation ${generation})`;
  }
  if ('inputs' in resolved && !isHash(annotations?.[annotation.inputs], inputsHashOf(resolved.inputs))) {
    return 'what it reads was made anew';
  }
  const queue = annotations?.[annotation.queue];
  if (job.spec?.suspend && queue !== undefined && queue !== queueOf(observed.object)) {
    return `label ${queueName} was changed`;
  }
  return isBeingDeleted(job) ? `Job ${job.metadata.name} was deleted` : undefined;
}

export function restart<R extends Resource>({ latest, observed }: Runnable<R>, because: string): Ruling {
  const attempt = latest + 1;
  return {
    phase: 'Pending',
    statements: [],
    attempt,
    isAboutSpec: true,
    remove: observed.jobs,
    events: [{ type: 'Normal', reason: 'Restarted', message: `${because}: attempt ${attempt}` }],
    // The status that was just written brings it back at once; this is for the case that it does not.
    lookAgainMilliseconds: 1000,
  };
}

/** Two attempts never run at once: they would write to one place. */
export function leftovers<R extends Resource>(context: Attempt<R>): Ruling | undefined {
  const { observed, attempt, standing } = context;
  const jobs = earlierJobs(context).filter((job) => !isFinished(job));
  // Also of this attempt: pods whose Job somebody removed are still ending.
  const own = new Set(
    observed.jobs.filter((job) => attemptOf(job) === attempt).map(({ metadata }) => metadata.uid),
  );
  const pods = observed.pods.filter((pod) => mayWrite(pod) && !own.has(ownerUidOf(pod)));
  if (jobs.length + pods.length === 0) return undefined;
  const names = [...jobs, ...pods].map(({ metadata }) => metadata.name).join(', ');
  const waiting = lostAmong(pods, context) ?? {
    reason: 'Terminating',
    message: `attempt ${attempt} waits for what is left of earlier ones to end: ${names}`,
  };
  return {
    phase: 'Pending',
    statements: [...standing, { type: 'Waiting', ...waiting }],
    ...about(context),
    lookAgainMilliseconds: patience.ending,
  };
}

/**
 * Two never write to one place: what an earlier resource of this name left behind, or another one with the same output, is
 * waited for before a Job is made.
 */
export function waitingForWriters<R extends Resource>({ observed, now }: Attempt<R>): Waiting | undefined {
  const { others, object } = observed;
  if (others.length === 0) return undefined;
  const pods = others.filter((other): other is Pod => other.kind === 'Pod');
  const lost = lostAmong(pods, { observed, now });
  if (lost) return lost;
  const names = others.map((other) => `${other.kind} ${other.metadata.name}`);
  const [first] = others as [Job | Pod, ...(Job | Pod)[]];
  const { kind, metadata } = object;
  const { namespace, labels = {} } = first.metadata;
  const { [label.ownerKind]: ofKind, [label.ownerName]: ofName } = labels;
  const what = `${names.slice(0, 3).join(', ')}${names.length > 3 ? ` and ${names.length - 3} more` : ''}`;
  const end = `kubectl delete ${first.kind.toLowerCase()} ${first.metadata.name} --namespace ${namespace}`;
  return ofKind === kind && ofName === metadata.name
    ? {
        reason: 'LeftoverRunning',
        message: `waits for what is left of an earlier ${kind} ${metadata.name} to end: ${what}; to end it at once: ${end}`,
      }
    : {
        reason: 'OutputInUse',
        message:
          `spec.output.uri: ${ofKind ? `${ofKind} ${ofName}` : 'something else'} writes ${whereOf(first, object)} (${what}), and this waits until it has ended: ` +
          'give each resource an output of its own',
      };
}

function whereOf(other: Job | Pod, object: Parameters<typeof outputOf>[0]): string {
  const [theirs, own] = [writesOf(other), outputOf(object)];
  return theirs === undefined || theirs === own ? 'there' : `to ${theirs}, and one lies inside the other`;
}

function lostAmong(
  pods: readonly Pod[],
  { observed, now }: Pick<Context, 'observed' | 'now'>,
): Waiting | undefined {
  return pods
    .flatMap((pod) => troubleOf(pod, { now: now.getTime(), notes: observed.notes }) ?? [])
    .find(({ reason }) => reason === 'NodeLost');
}

export const resultLost = (attempt: number) => ({
  reason: 'ResultLost',
  message: `the result of attempt ${attempt} did not arrive; the next attempt returns it, at once where its work place is kept`,
});
