/** The operator: caches that feed three queues, from which each key is observed, decided on and executed. */

import { allKinds, isKind, type Kind, printable, stagesOf } from '../src/api/index.ts';
import type { RunAddress } from '../src/progress/index.ts';
import { NatsConnection } from './connection.ts';
import {
  byOwner,
  type Caches,
  type Credentials,
  decide,
  Entrances,
  type ExecuteOptions,
  execute,
  type Followed,
  isOwnJob,
  type JobSettings,
  latestAttempt,
  Notes,
  type ObserveOptions,
  observe,
  openCaches,
  ownerKey,
  ProgressWriter,
  Recent,
  type Reports,
  typeOf,
  Warnings,
  writesAlone,
} from './jobs/index.ts';
import { rulesFor } from './kinds.ts';
import { OperatorMetrics } from './metrics.ts';
import { type Route, routesOfResource, routesOfRun, routesToAll } from './routes.ts';
import {
  type ApiClient,
  ApiError,
  type Because,
  Controller,
  type EventRecorder,
  type KubeObject,
  keyFrom,
  type Outcome,
  operatorLog,
  type RuntimeMetrics,
  splitKey,
  toldOf,
} from './runtime/index.ts';

export interface OperatorOptions {
  readonly client: ApiClient;
  readonly namespaces: readonly string[];
  readonly job: JobSettings;
  readonly concurrency: number;
  readonly events: EventRecorder;
  readonly metrics: RuntimeMetrics;
  /** Absent where there is no NATS. */
  readonly reports?: Reports | undefined;
  readonly credentials?: Credentials | undefined;
}

/** How soon a namespace that is known in part is looked at again. */
const partlyKnownMilliseconds = 5000;

export class Operator {
  readonly #options: OperatorOptions;
  readonly #caches: Caches;
  readonly #recent = new Recent(() => this.#options.client.now());
  readonly #entrances = new Entrances((object) => writesAlone(object, this.#caches, this.#recent));
  readonly #notes: Notes;
  readonly #warnings: Warnings | undefined;
  readonly #connection: NatsConnection;
  readonly #progress: ProgressWriter;
  readonly #metrics: OperatorMetrics;
  readonly #controllers: Readonly<Record<Kind, Controller>>;
  /** A replica that waits queues nothing: nobody would take it. */
  #leading = false;

  constructor(options: OperatorOptions) {
    this.#options = options;
    const { client, namespaces, metrics, reports } = options;
    this.#caches = openCaches(client, namespaces, metrics);
    this.#connection = new NatsConnection(reports);
    this.#notes = new Notes(client);
    this.#warnings = reports && new Warnings(reports, options.events);
    this.#metrics = new OperatorMetrics(
      metrics.registry,
      this.#caches,
      () => this.#connection.heard,
      () => reports?.store,
    );
    this.#progress = new ProgressWriter({
      client,
      reports: { progressOf: (uid, attempt) => reports?.progressOf(uid, attempt) },
      typeOf,
      attemptOf: (subject) => {
        const object = this.#find(subject);
        return object && this.#attemptOf(object);
      },
      wrote: (kind) => this.#metrics.wroteProgress(kind),
    });
    const controllerOf = (kind: Kind) =>
      new Controller({
        name: kind,
        concurrency: options.concurrency,
        metrics,
        reconcile: (key) => this.#reconcileOrTell(kind, key),
      });
    this.#controllers = Object.fromEntries(allKinds().map((kind) => [kind, controllerOf(kind)])) as Record<
      Kind,
      Controller
    >;
    this.#listen();
  }

  /** Whether the caches are filled. */
  get ready(): boolean {
    return this.#allCaches.every(({ hasSynced }) => hasSynced);
  }

  /** Fills the caches and keeps them, also in a replica that does not lead. Rejected if it is told to end before. */
  async follow(signal: AbortSignal): Promise<void> {
    for (const cache of this.#allCaches) void cache.start(signal);
    await Promise.all(this.#allCaches.map(({ synced }) => synced));
  }

  /** Does the work, until the signal aborts. Only one process may. */
  async lead(signal: AbortSignal): Promise<void> {
    // What the leader before wrote last may not have come by the watches: nothing is decided on less.
    await unlessAborted(Promise.all(this.#allCaches.map((cache) => cache.refresh())), signal);
    this.#leading = true;
    this.#enqueue(routesToAll(this.#caches), 'listed');
    this.#connection.begin();
    await Promise.all([
      ...Object.values(this.#controllers).map((controller) => controller.run(signal)),
      this.#progress.run(signal),
      this.#options.reports?.start(signal),
      this.#connection.watch(signal, () => this.#enqueue(routesToAll(this.#caches), 'listed')),
    ]);
  }

  get #allCaches(): readonly Followed[] {
    const { resources, jobs, pods } = this.#caches;
    return [...Object.values(resources), jobs, pods];
  }

  #enqueue(routes: readonly Route[], because?: Because): void {
    if (!this.#leading) return;
    for (const { kind, key } of routes) this.#controllers[kind].enqueue(key, because);
  }

  /** A fault that is ours, not the API server's, is told on the resource: its status stays as it was, and nothing says why. */
  async #reconcileOrTell(kind: Kind, key: string): Promise<Outcome> {
    try {
      return await this.#reconcile(kind, key);
    } catch (error) {
      const { namespace, name } = splitKey(key);
      const object = this.#caches.resources[kind].get(namespace, name);
      if (object !== undefined && !(error instanceof ApiError)) {
        const said = printable(toldOf(error).error);
        const message = `a fault of the operator: ${said}: it tries again, at least every minute; its log says where`;
        this.#options.events.event(object, 'Warning', 'ReconcileFailed', message);
      }
      throw error;
    }
  }

  async #reconcile(kind: Kind, key: string): Promise<Outcome> {
    // Whoever sees a resource but not its Jobs would make them again.
    const { namespace } = splitKey(key);
    if (!this.#allCaches.every((cache) => cache.covers(namespace))) {
      return { requeueAfterMilliseconds: partlyKnownMilliseconds };
    }
    const { client, job, events, reports, credentials } = this.#options;
    const reading: ObserveOptions = {
      client,
      caches: this.#caches,
      recent: this.#recent,
      notes: this.#notes,
      reports,
      connected: () => this.#connection.heard,
      heardMilliseconds: () => this.#connection.heardMilliseconds,
      // What is read has the times of the cluster.
      clock: () => client.now(),
    };
    const rules = rulesFor(kind);
    const situation = await observe(rules, key, reading);
    if (situation === undefined) return {};
    const decision = decide(rules, situation, job, new Date(client.now()));
    operatorLog.debug({ policy: decision.by, writes: decision.status !== undefined }, 'decided');
    const writing: ExecuteOptions = {
      client,
      recent: this.#recent,
      entrances: this.#entrances,
      events,
      credentials,
      wroteStatus: (before, after) => this.#wroteStatus(before, after),
    };
    return await execute(typeOf(kind), situation.observed.object, decision, writing);
  }

  #wroteStatus(before: KubeObject, after: KubeObject): void {
    this.#metrics.wroteStatus(before, after);
    const [old, status] = [before, after].map(
      (object) => (object['status'] ?? {}) as { attempt?: number; progress?: object },
    );
    const { namespace = '', name, uid = '' } = after.metadata;
    if (old?.progress && old.attempt !== status?.attempt) {
      this.#progress.clear({ kind: after.kind, namespace, name, uid });
    }
  }

  /** Every change leads to the key of a resource that it may concern. */
  #listen(): void {
    const { resources, jobs, pods } = this.#caches;
    for (const cache of Object.values(resources)) {
      cache.onChange((object, old) => {
        const changed = (object ?? old)!;
        if (object === undefined) this.#forget(changed);
        this.#enqueue(routesOfResource(changed, this.#caches));
      });
    }
    jobs.onChange((job, old) => {
      this.#recent.seen((job ?? old)!);
      if (this.#leading) this.#metrics.jobChanged(job, old);
      this.#enqueue(routesOfRun([job, old], this.#caches));
    });
    pods.onChange((pod, old) => this.#enqueue(routesOfRun([pod, old], this.#caches)));
    const { reports } = this.#options;
    reports?.onReport((subject, heard) => {
      const { namespace, kind, name, uid } = subject;
      const object = this.#find(subject);
      // Of a resource that is gone, or never was ours: what it says would be kept for good.
      if (object === undefined) return reports.forget(uid);
      if (heard === 'progress') this.#progress.mark({ namespace, kind, name, uid });
      if (heard === 'warning') this.#warnings?.tell(object);
      const last = stagesOf(kind as Kind).at(-1)!;
      // Nothing else that a run says changes what is decided: whoever says it a thousand times a second costs little.
      if (heard !== 'result' || !reports.hasResult(uid, last, this.#attemptOf(object))) return;
      this.#enqueue([{ kind: kind as Kind, key: keyFrom(namespace, name) }]);
    });
  }

  #forget({ metadata: { uid = '' } }: KubeObject): void {
    this.#recent.forget(uid);
    this.#progress.forget(uid);
    this.#warnings?.forget(uid);
    this.#options.reports?.forget(uid);
  }

  /** The present attempt of a resource. */
  #attemptOf(object: KubeObject): number {
    const { namespace, uid = '' } = object.metadata;
    const jobs = this.#caches.jobs
      .byIndex(byOwner, ownerKey(namespace, uid))
      .filter((job) => isOwnJob(job, object));
    return latestAttempt(this.#recent.object(object), jobs);
  }

  /** The resource that a run is of; undefined where none of its uid is there. */
  #find({ kind, namespace, name, uid }: RunAddress): KubeObject | undefined {
    if (!isKind(kind)) return undefined;
    const object = this.#caches.resources[kind].get(namespace, name);
    return object?.metadata.uid === uid ? object : undefined;
  }
}

/** Waits, at most until the signal aborts. */
async function unlessAborted(awaited: Promise<unknown>, signal: AbortSignal): Promise<void> {
  const { promise: aborted, resolve } = Promise.withResolvers<void>();
  const stop = () => resolve();
  signal.addEventListener('abort', stop);
  if (signal.aborted) stop();
  await Promise.race([awaited, aborted]);
  signal.removeEventListener('abort', stop);
}
