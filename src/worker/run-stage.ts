import { badSpec, cancelled, OffsiteError } from '../api/index.ts';
import { Mirror, withStoreUris } from '../artifact/index.ts';
import { type Emit, Estimator, type StageEvent } from '../progress/index.ts';
import type { StageJob } from './job.ts';
import type { KeepRequest } from './messages.ts';
import { type Failure, failureOf, type StageOutcome } from './outcome.ts';
import { checkOutput, fieldOf, inputsOf, outputOf } from './places.ts';
import { findResult, keepResult } from './result-file.ts';
import { runOnThread } from './thread.ts';

export interface StageOptions {
  /** Where Secrets are mounted; without it the environment opens every store. */
  secrets?: string | undefined;
  /** What makes this very work itself: its result is kept beside the artifact under it, and found there the next time. */
  identity?: string | undefined;
}

type Result = Extract<StageEvent, { type: 'result' }>;

/**
 * Runs one stage: brings what it reads from its stores, computes on a thread of its own, takes the artifact to its store,
 * and only then tells the result. Aborting `signal` makes it save its work and leave.
 */
export async function runStage(
  job: StageJob,
  emit: Emit,
  signal: AbortSignal,
  { secrets, identity }: StageOptions = {},
): Promise<StageOutcome> {
  const mirror = new Mirror({ scratch: job.mounts.scratch, secrets, signal });
  let result: Result | undefined;
  const holdResult: Emit = (event) => {
    if (event.type === 'result') result = event;
    else emit(event);
  };
  try {
    checkOutput(job);
    const known = identity && (await findResult(job, identity, mirror));
    if (known) {
      emit(known);
      return { ok: true, status: known.result as Record<string, unknown> };
    }
    await bringInputs(job, mirror, emit);
    const keep = (request: KeepRequest) => keepFor(mirror, request, emit);
    const outcome = await runOnThread(job, { emit: holdResult, signal, keep });
    if (outcome.ok) await takeOutput(job, mirror, result, identity);
    await mirror.settled();
    if (result !== undefined) emit(result);
    return outcome.ok ? outcome : { ...outcome, ...inWordsOf(job, outcome) };
  } catch (error) {
    await mirror.settled();
    const failure = failureOf(signal.aborted ? cancelled('stopped while files were brought') : error);
    return { ok: false, ...inWordsOf(job, failure), status: {} };
  }
}

/** What a reader is told: places by their URIs, and a file that the system has trouble with by the field that names its place. */
function inWordsOf(job: StageJob, { reason, message, exitCode, path }: Failure): Failure {
  const told = withStoreUris(message, job.mounts.scratch);
  const { uri } = job.resource.spec.output;
  if (reason === 'NoSpace') return { reason, exitCode, message: `writing ${uri}: ${told}` };
  const place = path === undefined || reason === 'EngineUnavailable' ? undefined : fieldOf(job, path);
  if (place === undefined) return { reason, exitCode, message: told };
  const words = `${place.field}: ${told}`;
  if (reason !== 'BadSpec') return { reason, exitCode, message: words };
  const wrong = place.wrong(words);
  return { reason: wrong.reason, exitCode: wrong.exitCode, message: words };
}

/** @throws OffsiteError where a place that is read is empty */
async function bringInputs(job: StageJob, mirror: Mirror, emit: Emit): Promise<void> {
  const inputs = inputsOf(job).filter(({ path }) => mirror.mirrors(path));
  for (const { field, path } of inputs) await mirror.check(path).catch(naming(field));
  for (const { uri, field, path, missing } of inputs) {
    const progress = fetchProgress(job, emit);
    const found = await mirror.pull(path, { exact: true, progress }).catch(naming(field));
    if (!found) throw missing(`${field}: there is nothing at ${uri}`);
  }
  // What was made before: the stage looks whether it is the same work.
  if (job.stage !== 'probe') await mirror.pull(outputOf(job), { exact: true, sealed: true });
}

/** Puts the field before what is wrong with it. */
const naming = (field: string) => (error: unknown) => {
  const wrong = error instanceof OffsiteError && error.reason === 'BadSpec';
  throw wrong ? badSpec(`${field}: ${error.message}`) : error;
};

/** Shows a download as a bar of its own. */
function fetchProgress({ stage }: StageJob, emit: Emit): (done: number, total: number) => void {
  const least = 500;
  let last = performance.now();
  let before = 0;
  let estimator: Estimator | undefined;
  return (done, total) => {
    estimator ??= new Estimator(total, done);
    const now = performance.now();
    if (now - last < least || total === 0) return;
    const estimate = estimator.advance(done - before);
    before = done;
    last = now;
    emit({ type: 'progress', stage: `${stage}: fetch`, ...estimate, metrics: [] });
  };
}

async function takeOutput(
  job: StageJob,
  mirror: Mirror,
  result: Result | undefined,
  identity: string | undefined,
): Promise<void> {
  if (job.stage === 'probe') return;
  const hasArtifact = (result?.result as { artifact?: unknown } | undefined)?.artifact !== undefined;
  if (hasArtifact) await mirror.push(outputOf(job), { exact: true });
  if (result !== undefined && identity !== undefined) await keepResult(job, identity, result, mirror);
}

async function keepFor(mirror: Mirror, { what, path, alike }: KeepRequest, emit: Emit): Promise<void> {
  if (what === 'pull') await mirror.pull(path, alike);
  else if (what === 'push') await mirror.push(path, alike);
  else
    mirror.pushLater(path, alike, (error) => {
      const { message } = failureOf(error);
      emit({
        type: 'warning',
        reason: 'NotStored',
        message: `what was saved is not in its store: ${message}`,
      });
    });
}
