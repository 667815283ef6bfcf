// The recorder of Kubernetes events: aggregated, rate-limited, and never in the way of a reconcile.
import { createHash } from 'node:crypto';
import { printableLines } from '../../../src/api/index.ts';
import { isAlreadyExists } from '../api/api-error.ts';
import type { ApiClient } from '../api/client.ts';
import { microTime } from '../api/lease.ts';
import type { KubeObject } from '../api/objects.ts';
import { events } from '../api/resource-types.ts';
import { type Log, operatorLog, toldOf } from '../log.ts';
import type { RuntimeMetrics } from '../metrics.ts';
import { pause } from '../pause.ts';
import { RateLimit } from '../rate-limit.ts';
import { laterInReconcile } from '../reconcile.ts';

export type EventType = 'Normal' | 'Warning';

export interface EventRecorderOptions {
  client: ApiClient;
  /** Who tells, such as "offsite-tuning.dev/operator". */
  reportingController: string;
  /** Which of its processes, such as the pod's name. */
  reportingInstance: string;
  metrics?: RuntimeMetrics;
  log?: Log;
}

/** events.k8s.io/v1, the part that is used here. */
interface EventObject extends KubeObject {
  series?: { count: number; lastObservedTime: string };
}

/** An event that was told, and how often. */
interface Told {
  object: EventObject;
  count: number;
  /** What the API server knows: 0 while the event does not exist there. */
  written: number;
  lastObserved: Date;
  queued: boolean;
  /** Events are written one after the other, whichever reconcile told them: this runs as part of the one that told it. */
  within: <T>(work: () => T) => T;
}

/** The API server keeps events for an hour; after that a repetition is a new event. */
const rememberedMilliseconds = 50 * 60_000;
const mostRemembered = 4096;
/** Repetitions are counted here and written so often. */
const seriesMilliseconds = 60_000;
const mostQueued = 2000;
const mostNoteBytes = 1024;

/**
 * Tells of changes as Kubernetes events (events.k8s.io/v1), in the background. The same event told again, also by a
 * restarted operator, becomes a series on the first one. Never throws and never blocks; when there is too much to tell
 * (25 at once, then one in 30 s, for one object), events are dropped and counted.
 */
export class EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #log: Log;
  readonly #told = new Map<string, Told>();
  readonly #limits = new Map<string, RateLimit>();
  readonly #queue: Told[] = [];
  #writing: Promise<void> | undefined;

  constructor(options: EventRecorderOptions) {
    this.#options = options;
    this.#log = options.log ?? operatorLog;
  }

  /**
   * Call it after the write that it tells of.
   * @param reason a stable word in CamelCase
   * @param action what was done, in CamelCase; by default the reason
   */
  event(object: KubeObject, type: EventType, reason: string, message: string, action = reason): void {
    const note = cut(printableLines(message));
    const now = new Date();
    const key = createHash('sha256')
      .update(JSON.stringify([object.metadata.uid ?? '', object.kind, type, reason, note]))
      .digest('hex');
    const earlier = this.#told.get(key);
    if (earlier !== undefined && now.getTime() - earlier.lastObserved.getTime() < rememberedMilliseconds) {
      this.#repeat(earlier, now);
      return;
    }
    if (!this.#allowed(object) || this.#queue.length >= mostQueued) {
      this.#count('dropped');
      return;
    }
    const told: Told = {
      object: this.#eventObject(object, { type, reason, note, action, now, key }),
      count: 1,
      written: 0,
      lastObserved: now,
      queued: true,
      within: laterInReconcile(),
    };
    remember(this.#told, key, told);
    this.#enqueue(told);
  }

  /** Waits until everything told is written, at most so long. */
  async flush(limitMilliseconds = 2000): Promise<void> {
    const limit = new AbortController();
    await Promise.race([this.#writing, pause(limitMilliseconds, limit.signal)]);
    limit.abort();
  }

  #eventObject(
    { apiVersion, kind, metadata }: KubeObject,
    told: { type: EventType; reason: string; note: string; action: string; now: Date; key: string },
  ): EventObject {
    const { reportingController, reportingInstance } = this.#options;
    const { name, namespace = 'default', uid, resourceVersion } = metadata;
    return {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      // The name says what is told, so the same event told by another process finds it.
      metadata: { name: `${name}.${told.key.slice(0, 16)}`, namespace },
      eventTime: microTime(told.now),
      type: told.type,
      reason: told.reason,
      action: told.action,
      note: told.note,
      regarding: { apiVersion, kind, name, ...(metadata.namespace && { namespace }), uid, resourceVersion },
      reportingController,
      reportingInstance: reportingInstance.slice(0, 128),
    };
  }

  #repeat(told: Told, now: Date): void {
    told.count += 1;
    told.lastObserved = now;
    told.within = laterInReconcile();
    this.#count('repeated');
    if (told.queued) return;
    told.queued = true;
    setTimeout(() => this.#enqueue(told), seriesMilliseconds).unref();
  }

  #allowed({ metadata: { uid, name } }: KubeObject): boolean {
    const key = uid ?? name;
    const limit = this.#limits.get(key) ?? new RateLimit({ perSecond: 1 / 30, burst: 25 });
    remember(this.#limits, key, limit);
    return limit.tryTake();
  }

  #enqueue(told: Told): void {
    this.#queue.push(told);
    this.#writing ??= this.#writeAll();
  }

  async #writeAll(): Promise<void> {
    for (let told = this.#queue.shift(); told !== undefined; told = this.#queue.shift()) {
      told.queued = false;
      await told.within(() => this.#writeOrLog(told));
    }
    this.#writing = undefined;
  }

  async #writeOrLog(told: Told): Promise<void> {
    try {
      await this.#write(told);
      this.#count('written');
    } catch (error) {
      this.#count('failed');
      // The namespace may be ending, or the rights be missing: events are only told.
      this.#log.debug({ event: told.object.metadata.name, ...toldOf(error) }, 'an event was not written');
    }
  }

  async #write(told: Told): Promise<void> {
    const { client } = this.#options;
    if (told.written === 0) {
      try {
        await client.create(events, told.object);
        told.written = 1;
      } catch (error) {
        if (!isAlreadyExists(error)) throw error;
        const { namespace, name } = told.object.metadata;
        const existing = await client.get<EventObject>(events, namespace, name);
        told.written = existing.series?.count ?? 1;
        told.count += told.written;
      }
    }
    if (told.count <= told.written) return;
    const { namespace, name } = told.object.metadata;
    const { count } = told;
    const series = { count, lastObservedTime: microTime(told.lastObserved) };
    await client.merge(events, namespace, name, { series });
    told.written = count;
  }

  #count(result: string): void {
    this.#options.metrics?.events.labels(result).inc();
  }
}

/** Newest last; the oldest goes when there are too many. */
function remember<V>(map: Map<string, V>, key: string, value: V): void {
  map.delete(key);
  map.set(key, value);
  if (map.size > mostRemembered) map.delete(map.keys().next().value!);
}

/** The API server refuses longer notes. */
function cut(note: string): string {
  if (Buffer.byteLength(note) <= mostNoteBytes) return note;
  const kept = Buffer.from(note).subarray(0, mostNoteBytes - 3);
  return `${kept.toString('utf8').replace(/\uFFFD+$/, '')}…`;
}
