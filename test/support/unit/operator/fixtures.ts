/** Resources, Jobs and pods as the API server stores them, and a small world in which decisions come true. */

import {
  type Decision,
  type JobSettings,
  latestAttempt,
  type Observed,
  type Situation,
} from '../../../../operator/jobs/index.ts';
import type { Job, Pod } from '../../../../operator/jobs/objects.ts';
import { checkSpec } from '../../../../operator/jobs/spec/check.ts';
import type { KubeObject } from '../../../../operator/runtime/index.ts';
import type { Kind } from '../../../../src/api/index.ts';
import { decideOn } from './rules.ts';

export const digestOf = (character: string) => `sha256:${character.repeat(64)}`;

export const settings: JobSettings = {
  image: 'worker:1',
  gpu: { cuda: { image: 'worker:1-cuda' }, webgpu: { image: 'worker:1-webgpu' } },
  natsUrl: 'nats://nats.offsite:4222',
  natsCredentials: true,
};

const specs: Readonly<Record<Kind, object>> = {
  EmulatorBuild: {
    model: { uri: 'pvc://models/smollm2' },
    probe: { data: { uri: 'pvc://data/probe.jsonl', format: 'text' } },
    layers: 24,
    output: { uri: 'pvc://artifacts/words-emulator' },
  },
  OffsiteTune: {
    emulator: { ref: { name: 'words' } },
    data: { uri: 'pvc://private/train.jsonl', format: 'multipleChoice' },
    training: { steps: 120 },
    output: { uri: 'pvc://artifacts/words-adapter' },
  },
  PlugIn: {
    model: { uri: 'pvc://models/smollm2' },
    emulator: { ref: { name: 'words' } },
    adapter: { ref: { name: 'words' } },
    evaluation: {
      tasks: [{ name: 'words', data: { uri: 'pvc://data/test.jsonl' }, format: 'multipleChoice' }],
    },
    output: { uri: 'pvc://artifacts/words-model' },
  },
};

interface Changes {
  name?: string;
  uid?: string;
  generation?: number;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  spec?: object;
  status?: object;
  deleted?: boolean;
}

export function resource(kind: Kind, changes: Changes = {}): KubeObject {
  const { name = 'words', uid = `uid-${kind}`, generation = 1, labels, annotations, spec, status } = changes;
  return {
    apiVersion: 'offsite-tuning.dev/v1alpha1',
    kind,
    metadata: {
      name,
      namespace: 'team',
      uid,
      generation,
      resourceVersion: '1',
      ...(labels && { labels }),
      ...(annotations && { annotations }),
      ...(changes.deleted && { deletionTimestamp: '2026-01-01T00:00:00Z' }),
    },
    spec: { ...specs[kind], ...spec },
    ...(status && { status }),
  };
}

export const artifact = (character: string, uri = 'pvc://artifacts/words-emulator') => ({
  uri,
  digest: digestOf(character),
  sizeBytes: 1_000_000_000,
});

/** A resource that is Complete at its generation. */
export const completed = (kind: Kind, character: string, changes: Changes = {}) =>
  resource(kind, {
    ...changes,
    status: {
      phase: 'Complete',
      conditions: [condition('Complete', 'Complete', 'every stage is done', changes.generation ?? 1)],
      artifact: artifact(character),
    },
  });

export const condition = (type: string, reason: string, message = '', observedGeneration = 1) => ({
  type,
  status: 'True',
  reason,
  message,
  observedGeneration,
  lastTransitionTime: '2026-01-01T00:00:00.000Z',
});

type Termination = { exitCode: number; message?: object | string; reason?: string };

/** A pod of a Job; by default it is at work. */
export function pod(job: KubeObject, changes: { name?: string; shard?: number; phase?: string } = {}) {
  const { name = `${job.metadata.name}-abcde`, shard, phase = 'Running' } = changes;
  const { template } = (job['spec'] ?? {}) as { template?: { metadata?: KubeObject['metadata'] } };
  const object: Pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace: 'team',
      uid: `uid-${name}`,
      creationTimestamp: '2026-01-01T00:00:00Z',
      labels: job.metadata.labels ?? {},
      annotations: {
        ...template?.metadata?.annotations,
        ...(shard !== undefined && { 'batch.kubernetes.io/job-completion-index': String(shard) }),
      },
      ownerReferences: [
        { apiVersion: 'batch/v1', kind: 'Job', name: job.metadata.name, uid: job.metadata.uid ?? '' },
      ],
    },
    spec: {
      nodeName: 'node-1',
      containers: [{ name: 'worker', image: 'worker:1', resources: { requests: { memory: '5Gi' } } }],
    },
    status: {
      phase,
      conditions: [{ type: 'PodScheduled', status: 'True' }],
      containerStatuses: [{ name: 'worker', state: phase === 'Running' ? { running: {} } : {} }],
    },
  };
  return object;
}

export function ended(pod: Pod, { exitCode, message, reason }: Termination): Pod {
  const text = typeof message === 'object' ? JSON.stringify(message) : message;
  const terminated = {
    exitCode,
    reason: reason ?? (exitCode === 0 ? 'Completed' : 'Error'),
    finishedAt: '2026-01-01T00:10:00Z',
    ...(text !== undefined && { message: text }),
  };
  return {
    ...pod,
    status: {
      ...pod.status,
      phase: exitCode === 0 ? 'Succeeded' : 'Failed',
      containerStatuses: [{ name: 'worker', state: { terminated } }],
    },
  };
}

export const waitingFor = (pod: Pod, reason: string, message = ''): Pod => ({
  ...pod,
  status: {
    ...pod.status,
    phase: 'Pending',
    containerStatuses: [{ name: 'worker', state: { waiting: { reason, message } } }],
  },
});

export const withConditions = (
  pod: Pod,
  ...conditions: NonNullable<Pod['status']>['conditions'] & object
): Pod => ({
  ...pod,
  status: { ...pod.status, conditions: [...(pod.status?.conditions ?? []), ...conditions] },
});

export const succeeded = (stage: string, digest?: string, uri = 'pvc://artifacts/words-adapter') => ({
  exitCode: 0,
  message: { ok: true, stage, ...(digest && { artifact: { uri, digest: digestOf(digest), sizeBytes: 7 } }) },
});

export const failedWith = (exitCode: number, stage: string, reason: string, message: string) => ({
  exitCode,
  message: { ok: false, stage, reason, message, exitCode },
});

/** One resource and what belongs to it. `run` makes decisions come true until there is nothing to do. */
export class World {
  object: KubeObject;
  settings = settings;
  jobs: Job[] = [];
  pods: Pod[] = [];
  /** What is not its own and may write to its place. */
  others: (Job | Pod)[] = [];
  dependencies: Observed['dependencies'] = {};
  claims = new Map<string, KubeObject | undefined>();
  notes = new Map<string, string>();
  results: Record<string, unknown> = {};
  connected: boolean | undefined = true;
  refusal: Observed['refusal'];
  now = new Date('2026-01-01T00:00:00Z');
  /** Every write in its order, such as `status Pending`, `create words-tune-...`. */
  readonly writes: string[] = [];
  readonly events: string[] = [];
  #uid = 0;

  constructor(object: KubeObject) {
    this.object = object;
  }

  decide(): Decision {
    const { object, jobs, pods, others, dependencies, claims, notes, refusal, connected, results } = this;
    const reports = { connected, results };
    const observed: Observed = { object, jobs, pods, others, dependencies, claims, notes, refusal, reports };
    return this.decideOn({ observed, checked: checkSpec(object), latest: latestAttempt(object, jobs) });
  }

  decideOn(situation: Situation): Decision {
    return decideOn(this.object.kind as Kind, situation, this.settings, this.now);
  }

  /** @param most how many writes come true before the operator is killed */
  run(most = Number.POSITIVE_INFINITY): this {
    for (let round = 0; round < 30; round++) {
      const decision = this.decide();
      const writes = this.#writesOf(decision);
      if (writes.length === 0) return this;
      for (const write of writes) {
        if (this.writes.length >= most) return this;
        write();
      }
      this.events.push(...decision.events.map(({ type, reason }) => `${type} ${reason}`));
    }
    throw new Error(`no end: ${this.writes.slice(-6).join('; ')}`);
  }

  #writesOf({ status, remove, create }: Decision): (() => void)[] {
    return [
      ...(status
        ? [
            () => {
              this.writes.push(`status ${status['phase']}`);
              this.object = { ...this.object, status };
            },
          ]
        : []),
      ...remove.map((job) => () => {
        this.writes.push(`remove ${job.metadata.name}`);
        const deletionTimestamp = this.now.toISOString();
        const going = (object: Job | Pod) => ({
          ...object,
          metadata: { ...object.metadata, deletionTimestamp },
        });
        this.jobs = this.jobs.map((other) =>
          other.metadata.uid === job.metadata.uid ? going(other) : other,
        );
      }),
      ...create
        .filter(({ metadata }) => !this.jobs.some((job) => job.metadata.name === metadata.name))
        .map((job) => () => {
          this.writes.push(`create ${job.metadata.name}`);
          const uid = `job-${++this.#uid}`;
          const creationTimestamp = this.now.toISOString();
          this.jobs = [...this.jobs, { ...job, metadata: { ...job.metadata, uid, creationTimestamp } }];
        }),
    ];
  }

  /** What the garbage collector does: Jobs that are being deleted go, and their pods with them. */
  collect(): this {
    const gone = this.jobs
      .filter(({ metadata }) => metadata.deletionTimestamp)
      .map(({ metadata }) => metadata.uid);
    this.jobs = this.jobs.filter(({ metadata }) => !gone.includes(metadata.uid));
    this.pods = this.pods.filter(({ metadata }) => !gone.includes(metadata.ownerReferences?.[0]?.uid ?? ''));
    return this;
  }

  job(stage: string): Job {
    const found = this.jobs.find(({ metadata }) => metadata.labels?.['offsite-tuning.dev/stage'] === stage);
    if (!found) throw new Error(`no Job of stage ${stage}`);
    return found;
  }

  get output(): string {
    return (this.object['spec'] as { output: { uri: string } }).output.uri;
  }

  /** The stage's pods are at work. */
  start(stage: string): this {
    this.pods = [...this.pods, pod(this.job(stage))];
    return this;
  }

  /** The stage's pod ended well, and its Job with it. */
  done(stage: string, digest?: string): this {
    const job = this.job(stage);
    this.#replacePod(job, (own) => ended(own, succeeded(stage, digest, this.output)));
    return this.jobIs(stage, 'Complete', { reason: 'CompletionsReached' });
  }

  jobIs(stage: string, type: string, { reason = '', message = '' } = {}): this {
    const job = this.job(stage);
    const lastTransitionTime = this.now.toISOString();
    const conditions = [{ type, status: 'True', reason, message, lastTransitionTime }];
    this.jobs = this.jobs.map((other) =>
      other === job ? { ...job, status: { ...job.status, conditions } } : other,
    );
    return this;
  }

  /** The stage's pod is as `change` makes it; one is made where there is none. */
  podIs(stage: string, change: (pod: Pod) => Pod): this {
    this.#replacePod(this.job(stage), change);
    return this;
  }

  edit(spec: object): this {
    const generation = (this.object.metadata.generation ?? 1) + 1;
    this.object = {
      ...this.object,
      metadata: { ...this.object.metadata, generation },
      spec: JSON.parse(JSON.stringify({ ...(this.object['spec'] as object), ...spec })),
    };
    return this;
  }

  wait(milliseconds: number): this {
    this.now = new Date(this.now.getTime() + milliseconds);
    return this;
  }

  get status() {
    return (this.object['status'] ?? {}) as {
      phase?: string;
      attempt?: number;
      conditions?: {
        type: string;
        status: string;
        reason: string;
        message: string;
        observedGeneration: number;
      }[];
      [field: string]: unknown;
    };
  }

  /** The conditions that are True, as `Type/Reason`. */
  get holding(): string[] {
    return (this.status.conditions ?? [])
      .filter(({ status }) => status === 'True')
      .map(({ type, reason }) => `${type}/${reason}`);
  }

  message(type: string): string | undefined {
    return this.status.conditions?.find((condition) => condition.type === type)?.message;
  }

  #replacePod(job: Job, change: (pod: Pod) => Pod): void {
    const uid = job.metadata.uid;
    const own = this.pods.find(({ metadata }) => metadata.ownerReferences?.[0]?.uid === uid);
    this.pods = [...this.pods.filter((other) => other !== own), change(own ?? pod(job))];
  }
}
