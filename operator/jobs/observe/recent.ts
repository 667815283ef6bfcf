/** What this process wrote a moment ago and its caches do not show yet, so that no decision is made on the day before. */
import { isNewer, type KubeObject } from '../../runtime/index.ts';
import { type Job, ownerResource } from '../objects.ts';
import type { Refusal } from '../situation.ts';

/** After this time the caches are believed, whatever they show. */
const mostMilliseconds = 30_000;

interface Written {
  readonly job: Job;
  readonly at: number;
}

export class Recent {
  readonly #clock: () => number;
  /** By the resource's uid. */
  readonly #objects = new Map<string, KubeObject>();
  readonly #refusals = new Map<string, Refusal & { readonly times: number }>();
  /** By the Job's uid. */
  readonly #created = new Map<string, Written>();
  readonly #removed = new Map<string, Written>();

  constructor(clock: () => number = Date.now) {
    this.#clock = clock;
  }

  wrote(object: KubeObject): void {
    if (object.metadata.uid) this.#objects.set(object.metadata.uid, object);
  }

  created(job: Job): void {
    if (job.metadata.uid) this.#created.set(job.metadata.uid, { job, at: this.#clock() });
  }

  removed(job: Job): void {
    if (job.metadata.uid) this.#removed.set(job.metadata.uid, { job, at: this.#clock() });
  }

  /** The cache of Jobs has shown this one, there or gone. */
  seen(job: KubeObject): void {
    this.#created.delete(job.metadata.uid ?? '');
  }

  /** The newer of what the cache shows and what was written. */
  object(cached: KubeObject): KubeObject {
    const uid = cached.metadata.uid ?? '';
    const written = this.#objects.get(uid);
    if (written === undefined) return cached;
    if (isNewer(written.metadata.resourceVersion, cached.metadata.resourceVersion)) return written;
    this.#objects.delete(uid);
    return cached;
  }

  /** The Jobs of a resource: those of the cache, those just created, and those just removed as being deleted. */
  jobs(uid: string, cached: readonly Job[]): Job[] {
    this.#expire();
    const known = new Set(cached.map(({ metadata }) => metadata.uid));
    const created = [...this.#created.values()]
      .filter(({ job }) => ownerResource(job) === uid && !known.has(job.metadata.uid))
      .map(({ job }) => job);
    return [...cached, ...created].map((job) => {
      const removed = this.#removed.get(job.metadata.uid ?? '');
      if (removed === undefined || job.metadata.deletionTimestamp) return job;
      return { ...job, metadata: { ...job.metadata, deletionTimestamp: new Date(removed.at).toISOString() } };
    });
  }

  /** The Jobs of other resources that were just created and that the cache does not show yet. */
  othersCreated(uid: string): Job[] {
    this.#expire();
    return [...this.#created.values()].flatMap(({ job }) => (ownerResource(job) === uid ? [] : [job]));
  }

  /** Notes that the API server would not have a Job; each refusal in a row makes the next try later. */
  refused(uid: string, refusal: Omit<Refusal, 'tryAgainAt'>): void {
    const times = (this.#refusals.get(uid)?.times ?? 0) + 1;
    const wait = Math.min(300_000, 5000 * 2 ** (times - 1));
    this.#refusals.set(uid, { ...refusal, times, tryAgainAt: this.#clock() + wait });
  }

  accepted(uid: string): void {
    this.#refusals.delete(uid);
  }

  refusal(uid: string): Refusal | undefined {
    return this.#refusals.get(uid);
  }

  /** The resource is gone. */
  forget(uid: string): void {
    this.#objects.delete(uid);
    this.#refusals.delete(uid);
  }

  #expire(): void {
    const oldest = this.#clock() - mostMilliseconds;
    for (const written of [this.#created, this.#removed]) {
      for (const [uid, { at }] of written) {
        if (at >= oldest) break;
        written.delete(uid);
      }
    }
  }
}
