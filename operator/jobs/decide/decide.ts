/** The state machine that the three kinds share: pure, from what was observed to what is to be done. */
import { artifactsOf, inRole, isTrue, type Resource } from '../../../src/api/index.ts';
import type { KubeObject } from '../../runtime/index.ts';
import type { JobSettings } from '../build/job.ts';
import { isHash } from '../identity.ts';
import type { Json } from '../json.ts';
import { attemptOf, endOf, isBeingDeleted, isFinished, isTerminal, type Job, since } from '../objects.ts';
import { patience } from '../patience.ts';
import { troubleOf } from '../pods/trouble.ts';
import type { Checked, Situation } from '../situation.ts';
import { deadlineProblems, sizeProblems } from '../spec/check.ts';
import type { StageName } from '../stages.ts';
import { holds } from '../stored.ts';
import { furthestJob, isOwnRuling, type Runnable } from './attempt.ts';
import { badSpec, forbidden } from './bad-spec.ts';
import { resolve } from './dependencies.ts';
import { keptWork, workMoved } from './kept-work.ts';
import { firstOf, type NamedRuling } from './policies.ts';
import { failedGates, lateResult } from './result.ts';
import { type Context, conclude, contextOf, type Decision, nothing, type Ruling } from './ruling.ts';
import { work } from './work.ts';

/**
 * Looks at a resource and all that belongs to it, and says what to write, remove and create, whatever happened before:
 * the same situation gives the same decision, so a crash between two writes changes nothing.
 */
export function decide<R extends Resource>(
  rules: Context<R>['rules'],
  situation: Situation,
  settings: JobSettings,
  now: Date,
): Decision {
  // What it owns is collected with it.
  if (isBeingDeleted(situation.observed.object)) return nothing;
  const context = contextOf(rules, situation, settings, now);
  return conclude(context, firstOf({ complete, wrongSpec }, context) ?? running(runnable(context)));
}

/** What becomes of a resource whose spec is right. */
const running = <R extends Resource>(context: Runnable<R>): NamedRuling =>
  firstOf({ failed, workMoved, notBegun, suspended }, context) ?? work(context);

function runnable<R extends Resource>(context: Context<R>): Runnable<R> {
  const { resource, modelBytes } = context.checked as Extract<Checked, { resource: Resource }>;
  return { ...context, resource: resource as R, modelBytes };
}

/** A spec that cannot be run: nothing runs until it is put right. */
const wrongSpec = <R extends Resource>({ checked, observed }: Context<R>): Ruling | undefined =>
  'problems' in checked ? badSpec(checked.problems, observed.jobs) : undefined;

/**
 * What keeps an attempt from its first Job, and from going on after that was said. It stops no Job that was made before it: of
 * a size that cannot be read only the next would need it, and what is asked of templates now was not asked then.
 */
function notBegun<R extends Resource>(context: Runnable<R>): Ruling | undefined {
  const { resource, observed } = context;
  const isRefused = holds(observed.object, 'Failed') !== undefined;
  if (furthestJob(context) !== undefined && !isRefused) return undefined;
  const problems = [
    ...sizeProblems(observed.object),
    ...deadlineProblems(resource.spec.template),
    ...forbidden(context),
  ];
  return problems.length === 0 ? undefined : badSpec(problems, observed.jobs);
}

/** What is done stays done while the result-relevant part of its spec is the same, also where the rest of it is wrong. */
function complete<R extends Resource>(context: Context<R>): Ruling | undefined {
  const { status, specHash, rules, observed, checked } = context;
  if (!isTrue(status.conditions, 'Complete') || !isHash(status.specHash, specHash)) return undefined;
  const { reason, message } = status.conditions!.find(({ type }) => type === 'Complete')!;
  const resolved = 'resource' in checked ? resolve(checked.resource, observed.dependencies) : undefined;
  const was = (role: string) => inRole(status.inputs ?? {}, role)?.digest;
  const changed =
    resolved && 'inputs' in resolved
      ? Object.entries(resolved.inputs).find(([role, { digest }]) => (was(role) ?? digest) !== digest)
      : undefined;
  const last = rules.stages.at(-1)!;
  const { name, namespace } = observed.object.metadata;
  return {
    phase: 'Complete',
    fields: {
      ...lateResult(rules, status as Json, observed.reports.results[last]),
      ...('resource' in checked && keptWork(checked.resource, context)),
    },
    statements: [
      { type: 'Complete', reason, message },
      ...(changed
        ? [
            {
              type: 'Outdated' as const,
              reason: 'DependencyChanged',
              message:
                `${fieldOf(observed.object, changed[0])}.ref: is ${changed[1].digest} now; this was made from ` +
                `${was(changed[0])}: to make it again, delete it in the foreground ` +
                `(kubectl delete ${rules.kind.toLowerCase()} ${name} --namespace ${namespace} ` +
                '--cascade=foreground), so that nothing of it is left, and create it again',
            },
          ]
        : []),
    ],
    ...cleanUp(context),
  };
}

/** The field that names the artifact that is read in this role. */
const fieldOf = ({ kind, spec }: KubeObject, role: string): string =>
  artifactsOf({ kind, spec }).find((input) => input.role === role)?.field ?? 'spec';

/** A failure is final for the spec that failed. */
function failed<R extends Resource>(context: Runnable<R>): Ruling | undefined {
  const condition = holds(context.observed.object, 'Failed');
  if (condition === undefined || isOwnRuling(condition, context.status)) return undefined;
  const { reason, message } = condition;
  const { rules, status, observed } = context;
  const stage = status['stage'] as StageName | undefined;
  return {
    phase: 'Failed',
    stage,
    statements: [{ type: 'Failed', reason, message }],
    // The report may come only now.
    ...(stage &&
      !('gates' in status) && { fields: failedGates(rules, reason, observed.reports.results[stage]) }),
    ...cleanUp(context),
  };
}

/** Its Jobs go, in the foreground: the pods get SIGTERM, save a checkpoint and end. */
function suspended<R extends Resource>({ resource, observed, now }: Runnable<R>): Ruling | undefined {
  if (!resource.spec.suspend) return undefined;
  const pods = observed.pods.filter((pod) => !isTerminal(pod));
  if (observed.jobs.length + pods.length === 0) {
    const message = 'spec.suspend is true: set it to false to run';
    return { phase: 'Suspended', statements: [{ type: 'Suspended', reason: 'Suspended', message }] };
  }
  const names = pods.map(({ metadata }) => metadata.name).join(', ');
  const lost = pods
    .flatMap((pod) => troubleOf(pod, { now: now.getTime(), notes: observed.notes }) ?? [])
    .find(({ reason }) => reason === 'NodeLost');
  return {
    phase: 'Running',
    statements: [
      {
        type: 'Waiting',
        reason: lost?.reason ?? 'Suspending',
        message:
          lost?.message ??
          `spec.suspend is true: its Jobs are removed${names && `; ${names} may save a checkpoint and end`}`,
      },
    ],
    lookAgainMilliseconds: patience.ending,
    remove: observed.jobs,
  };
}

/** After the end: nothing may go on, and what is finished goes when its time has come. */
function cleanUp<R extends Resource>({
  observed,
  latest,
  now,
}: Context<R>): Pick<Ruling, 'remove' | 'lookAgainMilliseconds'> {
  // As it is written: the rest of the spec may be wrong.
  const { ttlSecondsAfterFinished } = observed.object['spec'] as { ttlSecondsAfterFinished?: unknown };
  const ttl = typeof ttlSecondsAfterFinished === 'number' ? ttlSecondsAfterFinished : undefined;
  const stays = (job: Job) =>
    isFinished(job) && attemptOf(job) === latest ? leftOf(job, ttl, now.getTime()) : 0;
  const later = observed.jobs.map(stays).filter((time) => time > 0 && Number.isFinite(time));
  return {
    remove: observed.jobs.filter((job) => stays(job) <= 0),
    ...(later.length > 0 && { lookAgainMilliseconds: Math.min(...later) }),
  };
}

/** Milliseconds that a finished Job may still stay. The Job controller's own ttl could take a Job before we saw its end. */
function leftOf(job: Job, ttl: number | undefined, now: number): number {
  if (ttl === undefined) return Number.POSITIVE_INFINITY;
  return ttl * 1000 - since(endOf(job), now);
}
