/** Runs a resource that is to run: one stage after the other, each in a Job of the present attempt. */
import { doneMessage, type Resource } from '../../../src/api/index.ts';
import { buildJob, tooLarge } from '../build/job.ts';
import { claimsOf } from '../build/mounts.ts';
import { addressesOf } from '../identity.ts';
import {
  attemptOf,
  isBeingDeleted,
  isFinished,
  isTerminal,
  type Job,
  type Pod,
  podsOf,
  since,
  stageOf,
  workerTerminated,
} from '../objects.ts';
import { patience } from '../patience.ts';
import { runningOn } from '../pods/containers.ts';
import { isQueued, queuedFor, type StageState, stageState } from '../pods/stage-state.ts';
import { isRunning, isStarting } from '../pods/trouble.ts';
import type { Inputs, StageName, StageWork } from '../stages.ts';
import {
  type Attempt,
  about,
  attemptNow,
  earlierJobs,
  furthestJob,
  leftovers,
  type Runnable,
  restart,
  restartReason,
  resultLost,
  waitingForWriters,
} from './attempt.ts';
import { badSpec, forbidden } from './bad-spec.ts';
import type { Statement } from './conditions.ts';
import { resolve, type Waiting } from './dependencies.ts';
import { keptWork } from './kept-work.ts';
import { firstOf, type NamedRuling } from './policies.ts';
import { failedGates, reportPatience, settle } from './result.ts';
import type { Context, Ruling } from './ruling.ts';

export function work<R extends Resource>(context: Runnable<R>): NamedRuling {
  const { observed, latest, rules, resource } = context;
  const resolved = resolve(resource, observed.dependencies);
  const furthest = furthestJob(context);
  const because = latest === 0 ? undefined : restartReason(context, furthest, resolved);
  if (because !== undefined) return { ...restart(context, because), by: 'restarted' };
  const attempt = attemptNow(context, resolved);
  const ruling =
    firstOf({ leftovers }, attempt) ??
    (furthest === undefined ? start(attempt, rules.begins(resource)) : follow(attempt, furthest));
  return { ...ruling, remove: [...(ruling.remove ?? []), ...outlived(attempt, furthest)] };
}

/** Jobs of earlier attempts, and of earlier stages that are done and do not end. */
function outlived<R extends Resource>(attempt: Attempt<R>, furthest: Job | undefined): Job[] {
  const stages = attempt.observed.jobs.filter(
    (job) => attemptOf(job) === attempt.attempt && job !== furthest && !isFinished(job),
  );
  return [...earlierJobs(attempt), ...stages];
}

/** An attempt whose next stage has no Job yet. */
interface Starting<R extends Resource> extends Attempt<R> {
  readonly stage: StageName;
}

/** The same, where what it reads is there. */
interface Ready<R extends Resource> extends Starting<R> {
  readonly inputs: Inputs;
  readonly stageWork: StageWork;
}

/** Creates a stage's Job, unless something is to be waited for. */
function start<R extends Resource>(context: Attempt<R>, stage: StageName): NamedRuling {
  const { rules, resource, resolved, modelBytes } = context;
  const starting = { ...context, stage };
  if ('waiting' in resolved) return { ...waits(starting, resolved.waiting), by: 'dependencies' };
  const { inputs } = resolved;
  const ready = { ...starting, inputs, stageWork: rules.work(resource, stage, inputs, modelBytes) };
  return (
    firstOf({ notAllowed, otherWriters, sharedClaims, jobTooLarge, jobRefused }, ready) ?? {
      ...begin(ready),
      by: 'stageBegun',
    }
  );
}

const phaseOf = <R extends Resource>({ stage, rules, resource }: Starting<R>) =>
  stage === rules.begins(resource) ? 'Pending' : 'Running';

function waits<R extends Resource>(
  context: Starting<R>,
  waiting: Waiting,
  lookAgainMilliseconds?: number,
): Ruling {
  const { stage, standing } = context;
  const phase = phaseOf(context);
  return {
    phase,
    ...(phase === 'Running' && { stage }),
    statements: [...standing, { type: 'Waiting', ...waiting }],
    ...about(context),
    lookAgainMilliseconds,
  };
}

/**
 * Of each Job, whatever was made before it: its template may be another than the one that was asked of the first, or the
 * installation allow less by now.
 */
function notAllowed<R extends Resource>(context: Ready<R>): Ruling | undefined {
  const problems = forbidden(context);
  return problems.length === 0 ? undefined : badSpec(problems, context.observed.jobs);
}

function otherWriters<R extends Resource>(context: Ready<R>): Ruling | undefined {
  const writers = waitingForWriters(context);
  return writers && waits(context, writers, patience.ending);
}

function sharedClaims<R extends Resource>(context: Ready<R>): Ruling | undefined {
  const claim = unsharedClaim(context.stageWork, context.observed.claims);
  return claim && waits(context, claim, claimPatience);
}

const refusalOf = <R extends Resource>({ observed: { refusal }, generation }: Context<R>) =>
  refusal?.generation === generation ? refusal : undefined;

/** The container of this Job would never start. */
function jobTooLarge<R extends Resource>(context: Ready<R>): Ruling | undefined {
  const { observed, stageWork, inputs, attempt } = context;
  const message = tooLarge({ object: observed.object, work: stageWork, inputs, attempt });
  return message === undefined ? undefined : neverRuns(context, message);
}

/** The API server would never take this Job. */
function jobRefused<R extends Resource>(context: Ready<R>): Ruling | undefined {
  const refusal = refusalOf(context);
  if (!refusal?.final) return undefined;
  return neverRuns(context, `spec.template: the API server refuses the Job: ${refusal.message}`);
}

const neverRuns = <R extends Resource>(context: Ready<R>, message: string): Ruling => ({
  phase: 'Failed',
  stage: context.stage,
  statements: [...context.standing, { type: 'Failed', reason: 'BadSpec', message }],
  ...about(context),
});

function begin<R extends Resource>(context: Ready<R>): Ruling {
  const { resource, observed, attempt, specHash, modelBytes, settings, standing, now } = context;
  const { stage, inputs, stageWork } = context;
  const job = buildJob(
    { object: observed.object, resource, work: stageWork, inputs, attempt, specHash, modelBytes },
    settings,
  );
  const refusal = refusalOf(context);
  const wait = (refusal?.tryAgainAt ?? 0) - now.getTime();
  const refused: Statement[] = refusal
    ? [{ type: 'Waiting', reason: 'JobRefused', message: `${refusal.message}; it is tried again` }]
    : [];
  return {
    phase: phaseOf(context),
    stage,
    statements: [...standing, ...refused],
    ...about(context),
    fields: { inputs: Object.keys(inputs).length > 0 ? addressesOf(inputs) : undefined },
    ...(wait > 0 ? { lookAgainMilliseconds: wait } : { create: [job] }),
  };
}

const claimPatience = 30_000;

/** Pods on several nodes can only share a claim that several nodes may mount. */
function unsharedClaim(stageWork: StageWork, claims: ReadonlyMap<string, unknown>): Waiting | undefined {
  if ((stageWork.shards ?? 1) === 1) return undefined;
  const written = claimsOf(stageWork.writes);
  for (const name of claimsOf([...stageWork.reads, ...stageWork.writes])) {
    const claim = claims.get(name) as { spec?: { accessModes?: string[] } } | undefined;
    if (claims.has(name) && claim === undefined) {
      const message = `spec.probe.shards: ${stageWork.shards} pods share claim ${name}; there is no such claim`;
      return { reason: 'ClaimMissing', message };
    }
    const modes = claim?.spec?.accessModes;
    const right = written.includes(name) ? ['ReadWriteMany'] : ['ReadWriteMany', 'ReadOnlyMany'];
    if (modes === undefined || modes.some((mode) => right.includes(mode))) continue;
    return {
      reason: 'ClaimNotShared',
      message:
        `spec.probe.shards: ${stageWork.shards} pods share claim ${name}, which is ${modes.join(', ')}: ` +
        `it must be ${right.join(' or ')}, or use s3://, or shards: 1`,
    };
  }
  return undefined;
}

/** Goes by what the furthest stage's Job says. */
function follow<R extends Resource>(context: Attempt<R>, job: Job): NamedRuling {
  const { rules, resource, observed, now, standing } = context;
  const stage = stageOf(job) as StageName;
  const at = rules.stages.indexOf(stage);
  const state = stageState(job, observed.pods, {
    stage,
    spec: resource.spec,
    now: now.getTime(),
    notes: observed.notes,
  });
  switch (state.is) {
    case 'done': {
      const next = rules.stages[at + 1];
      return next === undefined ? finish(context, stage, state) : start(context, next);
    }
    case 'failed':
      return {
        by: 'stageFailed',
        phase: 'Failed',
        stage,
        statements: [{ type: 'Failed', ...state.failure }],
        ...about(context),
        fields: failedGates(rules, state.failure.reason, observed.reports.results[stage]),
        endedAt: state.at,
        remove: observed.jobs.filter((other) => !isFinished(other)),
      };
    case 'active':
      return {
        by: 'stageActive',
        ...active(context, job, state),
        stage,
        statements: [...standing, ...statementsOf(context, state)],
      };
  }
}

function finish<R extends Resource>(
  context: Attempt<R>,
  stage: StageName,
  { success, at, note }: Extract<StageState, { is: 'done' }>,
): NamedRuling {
  const { rules, resource, observed, now, status, standing, recovering } = context;
  const output = resource.spec.output.uri;
  // Who has only begun to listen waits as long as if the stage had only ended.
  const age = Math.min(since(at, now.getTime()), observed.reports.heardMilliseconds ?? Infinity);
  const settled = settle(rules, {
    reported: observed.reports.results[stage],
    success,
    connected: observed.reports.connected === true,
    age,
    recovering,
    output,
  });
  switch (settled.is) {
    case 'accepted':
      return {
        by: 'resultTaken',
        phase: 'Complete',
        statements: [
          {
            type: 'Complete',
            reason: 'Complete',
            message: doneMessage(settled.fields, note),
          },
        ],
        ...about(context),
        fields: { ...settled.fields, ...keptWork(resource, context) },
        endedAt: at,
      };
    case 'awaited':
      return {
        by: 'resultAwaited',
        phase: 'Running',
        stage,
        statements: [
          ...standing,
          {
            type: 'Waiting',
            reason: 'ResultPending',
            message: 'every stage is done; the result is on its way',
          },
        ],
        ...about(context),
        lookAgainMilliseconds: reportPatience - age,
      };
    case 'lost': {
      const lost = resultLost(context.attempt);
      if (recovering) {
        const said = success?.artifact?.uri ?? output;
        const message =
          said === output
            ? `stage ${stage}: its Job is done, but its result reached the operator neither over NATS nor by its pod`
            : `stage ${stage}: its pod says that the artifact lies at ${said}; what does not lie at spec.output.uri (${output}) is not taken`;
        return {
          by: 'resultLost',
          phase: 'Failed',
          statements: [{ type: 'Failed', reason: 'ResultLost', message }],
          ...about(context),
        };
      }
      return {
        ...restart(context, lost.message),
        by: 'resultLost',
        statements: [{ type: 'ResultLost', ...lost }],
        fields: { inputs: status.inputs },
      };
    }
  }
}

function active<R extends Resource>(
  context: Attempt<R>,
  job: Job,
  state: Extract<StageState, { is: 'active' }>,
): Omit<Ruling, 'statements'> {
  const { status, observed, now, rules, resource } = context;
  const begun = stageOf(job) !== rules.begins(resource);
  // Between two tries nothing runs for a moment; that is no news.
  const ran = status.phase === 'Running' && state.waiting === undefined;
  return {
    phase: state.running || begun || ran ? 'Running' : 'Pending',
    ...about(context),
    lookAgainMilliseconds: nextLook(job, podsOf(job, observed.pods), now.getTime()),
  };
}

/** When time alone may change what a Job and its pods say. */
function nextLook(job: Job, pods: readonly Pod[], now: number): number | undefined {
  const looks = pods
    .filter((pod) => !isTerminal(pod))
    .flatMap((pod) => [
      ...(isBeingDeleted(pod) ? [patience.ending - since(pod.metadata.deletionTimestamp, now)] : []),
      ...(isStarting(pod) ? [untilNextStartLook(pod, now)] : []),
      ...unansweredFor(pod, now).map((time) => patience.silence - time),
      ...(runningOn(pod).length > 0
        ? [patience.silence, patience.lingering].map(
            (time) => time - since(workerTerminated(pod)?.finishedAt, now),
          )
        : []),
    ])
    .filter((time) => time > 0);
  if (pods.length === 0 && !job.spec?.suspend) looks.push(patience.starting);
  if (isQueued(job)) looks.push(Math.min(600_000, Math.max(patience.starting, queuedFor(job, now) / 2)));
  if (isFinished(job)) looks.push(patience.seeing);
  return looks.length > 0 ? Math.min(...looks) + 100 : undefined;
}

/** A pod that has been waiting for long is looked at less often: what changes comes by itself, but for new events. */
const untilNextStartLook = ({ metadata }: Pod, now: number): number =>
  Math.min(300_000, Math.max(patience.starting, since(metadata.creationTimestamp, now) / 2));

/** For how long its node may have said nothing of a pod that was at work; for that alone it is looked at again. */
const unansweredFor = (pod: Pod, now: number): number[] =>
  (pod.status?.conditions ?? [])
    .filter(({ type, status, reason }) => type === 'Ready' && status === 'False' && !reason && isRunning(pod))
    .map(({ lastTransitionTime }) => since(lastTransitionTime, now));

function statementsOf<R extends Resource>(
  { resolved, observed, rules }: Attempt<R>,
  { waiting, retrying }: Extract<StageState, { is: 'active' }>,
): Statement[] {
  const statements: Statement[] = [];
  if (waiting) statements.push({ type: 'Waiting', ...waiting });
  if (retrying) statements.push({ type: 'Retrying', ...retrying });
  if ('waiting' in resolved) {
    const message = `${resolved.waiting.message}; this ${rules.kind} goes on with what it had read`;
    statements.push({ type: 'Outdated', reason: resolved.waiting.reason, message });
  }
  if (observed.reports.connected === false) {
    const message = 'NATS does not answer; the work goes on, and progress is shown again when it does';
    statements.push({ type: 'ProgressAvailable', reason: 'NatsUnavailable', message });
  }
  return statements;
}
