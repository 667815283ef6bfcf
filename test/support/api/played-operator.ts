/** The operator in this process, on a real API server, with reports that the played kubelet brings. */
import type { Credentials, Reports } from '../../../operator/jobs/index.ts';
import { Operator } from '../../../operator/operator.ts';
import { type ApiClient, EventRecorder, RuntimeMetrics } from '../../../operator/runtime/index.ts';
import type { Progress } from '../../../src/api/index.ts';
import type { Publisher } from '../../../src/progress/index.ts';

type Listener = Parameters<Reports['onReport']>[0];

/** What came over NATS, without NATS: `publisher` takes what pods publish. */
export class PlayedReports implements Reports {
  connected = true;
  readonly publisher: Publisher;
  readonly #progress = new Map<string, Progress>();
  readonly #results = new Map<string, unknown>();
  readonly #listeners: Listener[] = [];

  constructor() {
    this.publisher = {
      publish: ({ kind, metadata }, event) => {
        const { namespace = 'default', name, uid = '' } = metadata;
        const { connected } = this;
        if (!connected) return;
        if (event.type === 'result') this.#results.set(`${uid}/${event.stage}`, event.result);
        if (event.type === 'progress') {
          const { type: _, ...progress } = event;
          this.#progress.set(uid, progress);
        }
        for (const listener of this.#listeners) listener({ namespace, kind, name, uid }, event.type);
      },
      close: async () => 0,
    };
  }

  async start(): Promise<void> {}

  forget(uid: string): void {
    this.#progress.delete(uid);
  }

  warningsOf() {
    return [];
  }

  progressOf(uid: string): Progress | undefined {
    return this.#progress.get(uid);
  }

  resultOf(uid: string, stage: string): unknown {
    return this.#results.get(`${uid}/${stage}`);
  }

  hasResult(uid: string, stage: string): boolean {
    return this.#results.has(`${uid}/${stage}`);
  }

  onReport(listener: Listener): void {
    this.#listeners.push(listener);
  }
}

const credentials: Credentials = {
  issue: ({ namespace, kind, name }) => `creds of ${namespace}.${kind}.${name}`,
};

/** @returns the reports that it hears, its metrics, and how to end it */
export async function playOperator(client: ApiClient) {
  const metrics = new RuntimeMetrics();
  const reports = new PlayedReports();
  const events = new EventRecorder({
    client,
    reportingController: 'test/operator',
    reportingInstance: 'test',
    metrics,
  });
  const job = { image: 'worker:test', natsUrl: 'nats://nats:4222', natsCredentials: true };
  const operator = new Operator({
    client,
    namespaces: [],
    job,
    concurrency: 4,
    events,
    metrics,
    reports,
    credentials,
  });
  const ending = new AbortController();
  await operator.follow(ending.signal);
  const led = operator.lead(ending.signal);
  return {
    reports,
    metrics,
    stop: async () => {
      await events.flush();
      ending.abort();
      await led;
    },
  };
}
