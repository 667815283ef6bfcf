// A stage from end to end: inputs fetched, places locked, computed on a thread, artifact stored, result told.
import { join } from 'node:path';
import { badSpec, cancelled, kinds, OffsiteError } from '../../api/index.ts';
import {
  checkpointsOf,
  clearAt,
  type LockTimes,
  Mirror,
  peekManifest,
  signatureName,
  withStoreUris,
} from '../../artifact/index.ts';
import { type Emit, Estimator, type StageEvent } from '../../progress/index.ts';
import { prepares, type StageJob } from '../job.ts';
import { type Failure, failureOf, type StageOutcome } from '../outcome.ts';
import { checkPlaces, fieldOf, inputsOf, outputOf, workOf } from '../places.ts';
import type { KeepRequest } from '../thread/messages.ts';
import { runOnThread } from '../thread/thread.ts';
import { bringOutput } from './bring-output.ts';
import { checkConfined } from './confined.ts';
import { HeldPlaces } from './locks.ts';
import { examineOutput, type FoundOutput, markOutput, tidyOutput } from './owner.ts';
import { findResult, keepResult } from './result-file.ts';
import { checkSigned, isSigned, type KeyPlace, openKeys, type StageKeys, signOutput } from './signing.ts';
import { checkSurroundings } from './surroundings.ts';

export interface StageOptions {
  /** Where Secrets are mounted; without it the environment opens every store. */
  secrets?: string | undefined;
  /** Where the files of keys lie; a spec that names a key is refused when absent. */
  keyPlace?: KeyPlace | undefined;
  /** What makes this very work itself: its result is kept under it, and found there the next time. */
  identity?: string | undefined;
  /** The resource's uid in a cluster, where its pods follow each other. */
  run?: string | undefined;
  /** How soon a process that gives no sign of life is taken for dead. */
  lockTimes?: LockTimes | undefined;
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
  options: StageOptions = {},
): Promise<StageOutcome> {
  const { secrets, identity } = options;
  let held: HeldPlaces | undefined;
  const mirror = new Mirror({
    scratch: job.mounts.scratch,
    secrets,
    signal,
    beforePush: async () => await held?.check(),
    lost: () => held?.lost,
  });
  try {
    checkPlaces(job, (path) => mirror.comparable(path));
    checkConfined(job);
    checkKept(job);
    const keys = openKeys(job, options.keyPlace);
    const known = identity && (await findResult(job, identity, mirror));
    if (known && (await hasSignature(job, known, keys, mirror))) return told(known, emit);
    await checkSurroundings(job, mirror);
    if (!prepares(job))
      held = await HeldPlaces.take(job, {
        ...{ mirror, emit, signal },
        run: options.run,
        times: options.lockTimes,
      });
    return await runHeld(job, { emit, signal, mirror, held, identity, keys });
  } catch (error) {
    await mirror.settled();
    const failure = failureOf(signal.aborted ? cancelled('stopped before it computed') : error);
    return { ok: false, ...inWordsOf(job, failure), status: {} };
  } finally {
    await held?.release();
  }
}

interface Running {
  emit: Emit;
  signal: AbortSignal;
  mirror: Mirror;
  held: HeldPlaces | undefined;
  identity: string | undefined;
  keys: StageKeys;
}

/** What is done while nobody else writes to the output; one that only prepares another writes to none. */
async function runHeld(job: StageJob, running: Running): Promise<StageOutcome> {
  const { emit, signal, mirror, held, identity, keys } = running;
  if (held !== undefined) {
    // A link may have come while another process was waited for.
    checkConfined(job);
    await tidyOutput(job, mirror);
    // Another process of the same resource, which was waited for, may have done it.
    const known = identity && (await findResult(job, identity, mirror));
    if (known) {
      await putBackSignature(job, known, running);
      return told(known, emit);
    }
  }
  const found = await examineOutput(job, mirror);
  tellWhatIsNotKept(job, emit);
  await bringInputs(job, mirror, emit);
  const signed = await checkSigned(job, keys, mirror);
  let result: Result | undefined;
  const holdResult: Emit = (event) => {
    if (event.type === 'result') result = event;
    else emit(event);
  };
  const lost = held?.lost;
  const outcome = await runOnThread(
    { ...signed, mayReplace: found.mayReplace, told: found.told },
    {
      emit: holdResult,
      signal: lost === undefined ? signal : AbortSignal.any([signal, lost]),
      keep: (request) => keepFor(job, request, { ...running, found }),
    },
  );
  if (!outcome.ok && lost?.aborted) throw lost.reason;
  if (outcome.ok) await takeOutput(job, { result, found, ...running });
  await mirror.settled();
  if (result !== undefined) emit(result);
  return outcome.ok ? outcome : { ...outcome, ...inWordsOf(job, outcome) };
}

const artifactOf = ({ result }: Result): { digest: string } | undefined =>
  (result as { artifact?: { digest: string } }).artifact;

const hasSignature = async (
  job: StageJob,
  known: Result,
  keys: StageKeys,
  mirror: Mirror,
): Promise<boolean> => {
  const made = artifactOf(known);
  return made === undefined || (await isSigned(job, made.digest, keys, mirror));
};

/** A finished artifact is signed once more where somebody took its signature away, wrote another over it, or its key is another. */
async function putBackSignature(
  job: StageJob,
  known: Result,
  { keys, mirror, held }: Running,
): Promise<void> {
  const made = artifactOf(known);
  const { signing } = keys;
  if (made === undefined || signing === undefined) return;
  const file = join(outputOf(job), signatureName);
  const seen = await mirror.look(file);
  if (await isSigned(job, made.digest, keys, mirror)) return;
  await held?.check();
  await signOutput(job, made.digest, signing, mirror);
  await mirror.push(file, { exact: true }, { seen });
}

function told(known: Result, emit: Emit): StageOutcome {
  emit(known);
  return { ok: true, status: known.result as Record<string, unknown> };
}

/** What a reader is told: places by their URIs, and a file that the system has trouble with by the field that names its place. */
function inWordsOf(job: StageJob, { reason, message, exitCode, path }: Failure): Failure {
  const told = withStoreUris(message, job.mounts.scratch);
  if (reason === 'NoSpace') return { reason, exitCode, message: `writing ${writtenBy(job)}: ${told}` };
  const place = path === undefined || reason === 'EngineUnavailable' ? undefined : fieldOf(job, path);
  if (place === undefined) return { reason, exitCode, message: told };
  const words = `${place.field}: ${told}`;
  if (reason !== 'BadSpec') return { reason, exitCode, message: words };
  const wrong = place.wrong(words);
  return { reason: wrong.reason, exitCode: wrong.exitCode, message: words };
}

/** Where a stage writes: the system does not say which disk is full. */
const writtenBy = ({ resource: { spec } }: StageJob): string =>
  spec.work === undefined ? spec.output.uri : `${spec.output.uri} or ${spec.work.uri} (spec.work)`;

/** @throws OffsiteError where a place that is read is empty */
async function bringInputs(job: StageJob, mirror: Mirror, emit: Emit): Promise<void> {
  const inputs = inputsOf(job).filter(({ path }) => mirror.mirrors(path));
  for (const { field, path } of inputs) await mirror.check(path).catch(naming(field));
  for (const { uri, field, path, missing } of inputs) {
    const progress = fetchProgress(job, emit);
    const found = await mirror.pull(path, { exact: true, progress }).catch(naming(field));
    if (!found) throw missing(`${field}: there is nothing at ${uri}`);
  }
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
  {
    result,
    found,
    mirror,
    held,
    identity,
    keys,
  }: Running & { result: Result | undefined; found: FoundOutput },
): Promise<void> {
  if (prepares(job)) return;
  const output = outputOf(job);
  const artifact = result && artifactOf(result);
  if (artifact !== undefined && keys.signing !== undefined) {
    await held?.check();
    await signOutput(job, artifact.digest, keys.signing, mirror);
  }
  if (artifact !== undefined && mirror.mirrors(output))
    await bringOutput(job, artifact.digest, { found, mirror });
  // First of the two: where a result is known, no later pod looks for what is left, and a noise key must not be.
  await clearCheckpoints(job, mirror);
  if (result !== undefined) await keepResult(job, result, { identity, mirror, ...found });
}

/** The optimiser's state is of use no more once the artifact is where it belongs. */
async function clearCheckpoints(job: StageJob, mirror: Mirror): Promise<void> {
  const checkpoints = checkpointsOf(workOf(job).own);
  await mirror.settled();
  clearAt(checkpoints);
  await mirror.push(checkpoints, { exact: true });
}

const notKept =
  "spec.work: is absent and the output lies in a store, so checkpoints and the like stay on this pod's own disk";

/** @throws OffsiteError BadSpec where the work has no place, or must outlive this process and does not */
function checkKept(job: StageJob): void {
  const { kind, spec } = job.resource;
  const why = workOf(job).kept ? undefined : kinds[kind].mustKeep?.(spec);
  if (why !== undefined) throw badSpec(`${notKept}: ${why}; name a place that only its owner keeps`);
}

function tellWhatIsNotKept(job: StageJob, emit: Emit): void {
  if (workOf(job).kept || prepares(job)) return;
  const { unkept } = kinds[job.resource.kind];
  const message = `${notKept}: ${unkept}; name a place that only its owner reads`;
  emit({ type: 'warning', reason: 'WorkNotKept', message });
}

async function keepFor(
  job: StageJob,
  request: KeepRequest,
  { mirror, held, emit, found }: Running & { found: FoundOutput },
): Promise<void> {
  switch (request.what) {
    case 'pull':
      await mirror.pull(request.path, request.alike);
      return;
    case 'push':
      await mirror.push(request.path, request.alike);
      return;
    case 'held':
      return await held?.check();
    case 'claim':
      await held?.check();
      // In a store it takes its place only later.
      if (mirror.mirrors(outputOf(job))) return;
      await checkSurroundings(job, mirror);
      // While it computed, somebody may have laid something there.
      await markOutput({ ...found, digest: peekManifest(outputOf(job))?.digest }, request.digest);
      return;
    case 'pushLater':
      mirror.pushLater(request.path, request.alike, (error) => {
        const { message } = failureOf(error);
        emit({
          type: 'warning',
          reason: 'NotStored',
          message: `what was saved is not in its store: ${message}`,
        });
      });
  }
}
