// Leader election: of several replicas one alone works, and none writes without the lease.
import { ApiError, isAlreadyExists, isConflict, isNotFound } from '../api/api-error.ts';
import type { ApiClient } from '../api/client.ts';
import { held, isFree, type Lease, type Observation, observe, released } from '../api/lease.ts';
import { leases } from '../api/resource-types.ts';
import { type Log, operatorLog, toldOf } from '../log.ts';
import type { RuntimeMetrics } from '../metrics.ts';
import { pause } from '../pause.ts';

export interface LeaderElectionOptions {
  client: ApiClient;
  namespace: string;
  /** Of the Lease. */
  name: string;
  /** Different for every process, also for one restarted in the same pod. */
  identity: string;
  /** How long others wait after the last renewal that they saw; 15 s. */
  durationSeconds?: number;
  /** Without a renewal for this long, the lease counts as lost; 10 s. */
  renewDeadlineSeconds?: number;
  /** Between tries; 2 s. */
  retrySeconds?: number;
  /** Called once when the lease is lost; by default ends the process with exit code 1. */
  onLost?: (why: string) => void;
  metrics?: RuntimeMetrics;
  log?: Log;
}

/**
 * One leader by a Lease. Times are measured on this process's monotonic clock only, so clocks that disagree do no harm:
 * a follower takes the lease when it has not seen it change for its duration, and the leader gives up well before.
 * @example
 * const election = new LeaderElection({ client, namespace, name: 'offsite-operator', identity });
 * await election.run(signal, (leading) => runControllers(leading));
 */
export class LeaderElection {
  readonly #options: LeaderElectionOptions;
  readonly #log: Log;
  readonly #durationSeconds: number;
  readonly #deadlineMilliseconds: number;
  readonly #retryMilliseconds: number;
  #observed: Observation | undefined;
  /** Start of the last request that renewed the lease (performance.now()); undefined while not leading. */
  #renewedAt: number | undefined;

  constructor(options: LeaderElectionOptions) {
    this.#options = options;
    this.#log = options.log ?? operatorLog;
    this.#durationSeconds = options.durationSeconds ?? 15;
    this.#deadlineMilliseconds = 1000 * (options.renewDeadlineSeconds ?? 10);
    this.#retryMilliseconds = 1000 * (options.retrySeconds ?? 2);
  }

  /** Whether the lease is surely ours at this moment, also after the process was stopped for a while. */
  get leading(): boolean {
    return this.#renewedAt !== undefined && performance.now() - this.#renewedAt < this.#deadlineMilliseconds;
  }

  /** For ApiClient.beforeWrite. @throws ApiError NotLeading */
  assertLeading(): void {
    if (this.leading) return;
    throw new ApiError('not written: this replica does not hold the lease', {
      status: 0,
      reason: 'NotLeading',
    });
  }

  /**
   * Waits for the lease, then calls `lead` and keeps the lease meanwhile. When the signal aborts, `lead`'s signal aborts
   * too, and the lease is given back as soon as `lead` has ended.
   * @throws when the lease is lost (after `onLost`), or what `lead` throws
   */
  async run(signal: AbortSignal, lead: (signal: AbortSignal) => Promise<void>): Promise<void> {
    while (!signal.aborted && !((await this.#try()) && this.leading)) await pause(this.#jittered(), signal);
    if (!this.leading) return;
    const { identity, metrics } = this.#options;
    this.#log.info({ identity }, 'leading');
    metrics?.leading.set(1);
    const ended = new AbortController();
    const lost = this.#keep(ended.signal);
    const leading = AbortSignal.any([signal, ended.signal]);
    try {
      const why = await Promise.race([lead(leading), lost]);
      if (why !== undefined) this.#lose(why);
    } finally {
      ended.abort();
      await lost;
      metrics?.leading.set(0);
    }
    await this.#release();
  }

  /** Renews until told to end. @returns why the lease is lost; undefined when told to end */
  async #keep(signal: AbortSignal): Promise<string | undefined> {
    while (!signal.aborted) {
      await pause(this.#retryMilliseconds, signal);
      if (signal.aborted) return undefined;
      if (!(await this.#try(signal)) && this.#heldByOther()) return 'another replica holds it';
      if (!this.leading) return 'it could not be renewed in time';
    }
    return undefined;
  }

  /** Takes or renews the lease if that is possible now. */
  async #try(signal?: AbortSignal): Promise<boolean> {
    const start = performance.now();
    try {
      const lease = await this.#read(signal);
      this.#observed = observe(lease, this.#observed, performance.now());
      if (!isFree(this.#observed, this.#options.identity, performance.now(), this.#durationSeconds))
        return false;
      const mine = held(lease, this.#options.identity, this.#durationSeconds, new Date());
      await this.#write(mine, signal);
      this.#renewedAt = start;
      return true;
    } catch (error) {
      if (signal?.aborted) return false;
      const quiet = isConflict(error) || isAlreadyExists(error);
      this.#log[quiet ? 'debug' : 'warn'](toldOf(error), 'the lease could not be read or written');
      return false;
    }
  }

  async #read(signal: AbortSignal | undefined): Promise<Lease> {
    const { client, namespace, name } = this.#options;
    try {
      return await client.get<Lease>(leases, namespace, name, { signal: this.#limited(signal) });
    } catch (error) {
      if (!isNotFound(error)) throw error;
      return { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name, namespace } };
    }
  }

  async #write(lease: Lease, signal: AbortSignal | undefined): Promise<void> {
    const { client } = this.#options;
    const options = { signal: this.#limited(signal) };
    const written = lease.metadata.resourceVersion
      ? await client.replace(leases, lease, options)
      : await client.create(leases, lease, options);
    this.#observed = { lease: written, since: performance.now() };
  }

  #heldByOther(): boolean {
    const holder = this.#observed?.lease.spec?.holderIdentity;
    return holder !== undefined && holder !== null && holder !== '' && holder !== this.#options.identity;
  }

  /** A renewal that hangs must leave time for another try before the deadline. */
  #limited(signal: AbortSignal | undefined): AbortSignal {
    const limit = AbortSignal.timeout(this.#deadlineMilliseconds / 2);
    return signal ? AbortSignal.any([signal, limit]) : limit;
  }

  #lose(why: string): never {
    this.#renewedAt = undefined;
    this.#log.error({ identity: this.#options.identity }, `lost the lease: ${why}`);
    (this.#options.onLost ?? (() => process.exit(1)))(why);
    throw new ApiError(`lost the lease: ${why}`, { status: 0, reason: 'NotLeading' });
  }

  async #release(): Promise<void> {
    const { client, identity } = this.#options;
    this.#renewedAt = undefined;
    const signal = this.#limited(undefined);
    try {
      // Read anew: a renewal that was cut off by the end may have been written, or may be at any moment.
      for (;;) {
        const lease = await this.#read(signal);
        if (lease.spec?.holderIdentity !== identity) return;
        try {
          await client.replace(leases, released(lease, new Date()), { signal });
          break;
        } catch (error) {
          if (!isConflict(error)) throw error;
        }
      }
      this.#log.info({ identity }, 'gave the lease back');
    } catch (error) {
      // It runs out by itself.
      this.#log.warn(toldOf(error), 'the lease could not be given back');
    }
  }

  #jittered(): number {
    return this.#retryMilliseconds * (1 + 0.2 * Math.random());
  }
}
