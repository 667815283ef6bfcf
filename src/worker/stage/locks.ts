// The locks by which a stage has its output and work place for itself.
import { badSpec, fingerprint } from '../../api/index.ts';
import {
  type Lock,
  type LockTimes,
  type Mirror,
  realPlace,
  StoreError,
  takeLock,
} from '../../artifact/index.ts';
import type { Emit } from '../../progress/index.ts';
import type { StageJob } from '../job.ts';
import { outputOf, workOf } from '../places.ts';
import { ownerOf } from './result-file.ts';

export interface HoldOptions {
  mirror: Mirror;
  emit: Emit;
  signal: AbortSignal;
  /** The resource's uid in a cluster: the operator runs its pods one after the other. */
  run?: string | undefined;
  times?: LockTimes | undefined;
}

/** The places that a stage writes to, for this process alone while it runs. */
export class HeldPlaces {
  /** Aborted when another run is found to have one of them. */
  readonly lost: AbortSignal;
  readonly #locks: readonly Lock[];

  private constructor(locks: readonly Lock[]) {
    this.#locks = locks;
    this.lost = AbortSignal.any(locks.map(({ lost }) => lost));
  }

  /**
   * Takes the output and the resource's own work place; another process of the same resource is waited for.
   * @throws OffsiteError BadSpec where another resource is at work on the output; StoreError where its lock cannot be written
   */
  static async take(job: StageJob, options: HoldOptions): Promise<HeldPlaces> {
    const work = workOf(job);
    const places: [path: string, field: string][] = [
      [outputOf(job), 'spec.output.uri'],
      ...(work.kept ? [[work.own, 'spec.work.uri'] as [string, string]] : []),
    ];
    const locks: Lock[] = [];
    try {
      for (const [path, field] of places) locks.push(await take(path, field, job, options));
    } catch (error) {
      await new HeldPlaces(locks).release();
      throw error;
    }
    return new HeldPlaces(locks);
  }

  /** @throws TakenOver */
  async check(): Promise<void> {
    for (const lock of this.#locks) await lock.check();
  }

  async release(): Promise<void> {
    for (const lock of this.#locks.toReversed()) await lock.release();
  }
}

async function take(
  path: string,
  field: string,
  job: StageJob,
  { mirror, emit, signal, run, times }: HoldOptions,
): Promise<Lock> {
  const { kind, namespace, name } = ownerOf(job);
  const owner = `${kind} ${namespace}/${name}`;
  const { replace } = job.resource.spec.output;
  const lock = await takeLock(await mirror.lockAt(mirror.mirrors(path) ? path : realPlace(path, field)), {
    owner,
    run: run && secretly(run),
    signal,
    ...(times && { times }),
    waitsFor: (other) => other.owner === owner || replace === true,
    refusal: (other) =>
      badSpec(
        `${field}: ${other.owner} is at work there now: choose another place, or wait for its end and write spec.output.replace: true to replace its artifact`,
      ),
    waiting: (other) =>
      emit({
        type: 'warning',
        reason: 'OutputBusy',
        message: `${field}: another process of ${other.owner} works there; this one waits for its end`,
      }),
    retrying: () =>
      emit({
        type: 'warning',
        reason: 'OutputBusy',
        message: `${field}: nobody holds its lock, and it cannot be written; this one waits, and tries again`,
      }),
    unwritable: (tries, seconds) =>
      new StoreError(
        'StoreUnavailable',
        `${field}: ${path}: nobody holds its lock, and in ${seconds} s it could not be written ${tries} times, ${
          mirror.mirrors(path)
            ? 'since its server refused each write under a condition (If-None-Match, If-Match), or showed another one then'
            : 'since another file was there each time'
        }: see to it that it can be written, or choose another place`,
      ),
  });
  if (!lock.isReliable)
    emit({
      type: 'warning',
      reason: 'OutputNotLocked',
      message: `${field}: its server knows no conditional writes (If-None-Match, If-Match): two runs at once on one output are not kept apart for sure; see to it that there is one`,
    });
  return lock;
}

/** A lock beside a shared output is read by the other party too, and a uid is what only the owner's cluster knows. */
const secretly = (uid: string): string => fingerprint({ lockOf: uid });
