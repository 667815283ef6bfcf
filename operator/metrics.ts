/** The operator's own metrics, beside the runtime's. No label names an object. */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { allKinds, isStageOf, stagesOf } from '../src/api/index.ts';
import {
  byOwner,
  type Caches,
  conditionOf,
  endOf,
  isFinished,
  type Job,
  label,
  ownerKey,
  type Pod,
  type Reports,
  since,
  workerRunsSince,
} from './jobs/index.ts';
import type { KubeObject } from './runtime/index.ts';

const phases = ['Pending', 'Running', 'Suspended', 'Complete', 'Failed'];
/** Reasons are words of ours and of the workers; whatever else a pod says is counted together. */
const reasons: ReadonlySet<string> = new Set([
  'BadSpec',
  'BadData',
  'BadModel',
  'GateFailed',
  'EngineUnavailable',
  'NoSpace',
  'AccessDenied',
  'StoreUnavailable',
  'InternalError',
  'OutOfMemory',
  'DeadlineExceeded',
  'BackoffLimitExceeded',
  'JobFailed',
  'PodFailed',
  'Evicted',
  'ResultLost',
]);
const otherReason = 'Other';
const otherLabel = 'other';
const stageBuckets = [10, 30, 60, 300, 900, 1800, 3600, 4 * 3600, 12 * 3600, 24 * 3600, 72 * 3600];

const streamFigures = [
  ['stream_bytes', 'What the stream holds; the oldest goes when there is no more room.', 'bytes'],
  ['stream_limit_bytes', 'Its room; absent where it has no limit.', 'limitBytes'],
] as const;

interface Status {
  readonly phase?: string;
  readonly progress?: { readonly lastUpdatedTime?: string };
  readonly conditions?: readonly {
    readonly type: string;
    readonly status: string;
    readonly reason: string;
  }[];
}

export class OperatorMetrics {
  readonly #stageSeconds: Histogram<'kind' | 'stage' | 'result'>;
  readonly #failures: Counter<'kind' | 'reason'>;
  readonly #statusWrites: Counter<'kind' | 'writer'>;

  /**
   * @param connected whether NATS is heard; undefined where there is none
   * @param store how NATS keeps events
   */
  constructor(
    registry: Registry,
    caches: Caches,
    connected: () => boolean | undefined,
    store: () => Reports['store'] = () => undefined,
  ) {
    const registers = [registry];
    new Gauge({
      name: 'offsite_operator_resources',
      help: 'Resources by kind and phase.',
      labelNames: ['kind', 'phase'],
      registers,
      collect() {
        for (const kind of allKinds()) {
          const counts = new Map(phases.map((phase) => [phase, 0]));
          for (const object of caches.resources[kind].list()) {
            const phase = statusOf(object).phase ?? 'Pending';
            counts.set(phase, (counts.get(phase) ?? 0) + 1);
          }
          for (const [phase, count] of counts) this.labels(kind, phase).set(count);
        }
      },
    });
    new Gauge({
      name: 'offsite_operator_longest_silence_seconds',
      help: 'Of the resources of a kind whose pods compute, the longest time since the last progress, or since their start.',
      labelNames: ['kind'],
      registers,
      collect() {
        const now = Date.now();
        for (const kind of allKinds()) {
          const silences = caches.resources[kind]
            .list()
            .filter((object) => statusOf(object).phase === 'Running')
            .map((object) => silenceOf(statusOf(object), podsOf(object, caches), now));
          // Thousands of resources are too many for arguments.
          this.labels(kind).set(silences.reduce((longest, silence) => Math.max(longest, silence), 0));
        }
      },
    });
    if (connected() !== undefined) {
      new Gauge({
        name: 'offsite_operator_nats_connected',
        help: '1 while pods can be heard over NATS; absent where there is no NATS.',
        registers,
        collect() {
          this.set(connected() ? 1 : 0);
        },
      });
      new Gauge({
        name: 'offsite_operator_nats_accepts_events',
        help: '1 while NATS keeps what is published; absent until it was tried.',
        registers,
        collect() {
          const accepts = store()?.accepts;
          if (accepts === undefined) this.remove();
          else this.set(accepts ? 1 : 0);
        },
      });
      for (const [name, help, figure] of streamFigures) {
        new Gauge({
          name: `offsite_operator_nats_${name}`,
          help,
          labelNames: ['stream'],
          registers,
          collect() {
            this.reset();
            for (const stream of store()?.streams ?? []) {
              const value = stream[figure];
              if (value !== undefined) this.labels(stream.name).set(value);
            }
          },
        });
      }
    }
    this.#stageSeconds = new Histogram({
      name: 'offsite_operator_stage_seconds',
      help: "Time from a stage's Job's start to its end, retries and all.",
      labelNames: ['kind', 'stage', 'result'],
      buckets: stageBuckets,
      registers,
    });
    // From 0 too.
    for (const kind of allKinds())
      for (const stage of stagesOf(kind))
        for (const result of ['done', 'failed']) this.#stageSeconds.zero({ kind, stage, result });
    this.#failures = new Counter({
      name: 'offsite_operator_failures_total',
      help: 'Resources that became Failed, by kind and reason.',
      labelNames: ['kind', 'reason'],
      registers,
    });
    // From 0, or the first failure of a reason is no increase to Prometheus.
    for (const kind of allKinds())
      for (const reason of [...reasons, otherReason]) this.#failures.labels(kind, reason).inc(0);
    this.#statusWrites = new Counter({
      name: 'offsite_operator_status_writes_total',
      help: 'Status writes by kind and writer: decision or progress.',
      labelNames: ['kind', 'writer'],
      registers,
    });
  }

  wroteStatus(before: KubeObject, after: KubeObject): void {
    this.#statusWrites.labels(after.kind, 'decision').inc();
    const [old, status] = [statusOf(before), statusOf(after)];
    if (status.phase === old.phase || status.phase !== 'Failed') return;
    const reason = status.conditions?.find((condition) => condition.type === 'Failed')?.reason ?? '';
    this.#failures.labels(after.kind, reasons.has(reason) ? reason : otherReason).inc();
  }

  /** Told of every change of a Job. */
  jobChanged(job: Job | undefined, old: Job | undefined): void {
    if (job === undefined || old === undefined || isFinished(old) || !isFinished(job)) return;
    const { labels } = job.metadata;
    const milliseconds = since(job.status?.startTime, Date.parse(endOf(job)));
    const kind = labels?.[label.ownerKind] ?? '';
    const stage = labels?.[label.stage] ?? '';
    // Whoever may make Jobs may label them as he likes; each new word would be a series for good.
    const [ofKind, ofStage] = isStageOf(kind, stage) ? [kind, stage] : [otherLabel, otherLabel];
    this.#stageSeconds
      .labels(ofKind, ofStage, conditionOf(job, 'Complete') ? 'done' : 'failed')
      .observe(Math.max(0, milliseconds / 1000));
  }

  wroteProgress(kind: string): void {
    this.#statusWrites.labels(kind, 'progress').inc();
  }
}

/** A stage that still waits for its pod, in a queue or for a node, says nothing and has nothing to say. */
function silenceOf({ progress }: Status, pods: readonly Pod[], now: number): number {
  const computing = pods.flatMap((pod) => workerRunsSince(pod) ?? []);
  if (computing.length === 0) return 0;
  const moments = [...computing, progress?.lastUpdatedTime ?? ''].map((text) => Date.parse(text) || 0);
  return Math.max(0, (now - Math.max(...moments)) / 1000);
}

function podsOf({ metadata: { namespace, uid = '' } }: KubeObject, { jobs, pods }: Caches): Pod[] {
  const own = jobs.byIndex(byOwner, ownerKey(namespace, uid));
  return own.flatMap((job) => pods.byIndex(byOwner, ownerKey(namespace, job.metadata.uid ?? '')));
}

const statusOf = (object: KubeObject): Status => (object['status'] ?? {}) as Status;
