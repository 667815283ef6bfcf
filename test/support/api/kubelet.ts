import { setTimeout as sleep } from 'node:timers/promises';
import {
  type ApiClient,
  Informer,
  isNotFound,
  type KubeObject,
  keyOf,
  pods,
} from '../../../operator/runtime/index.ts';
import type { Publisher } from '../../../src/progress/index.ts';
import type { Results } from './recorded.ts';

interface Pod extends KubeObject {
  spec: { containers: { name: string; image: string; env?: { name: string; value: string }[] }[] };
  status?: { phase?: string };
}

/** What the worker of one pod is told to do (OFFSITE_JOB). */
export interface Told {
  stage: keyof Results;
  attempt: number;
  resource: {
    kind: string;
    metadata: { name: string; namespace: string; uid: string };
    spec: { output: { uri: string } };
  };
}

/** How a pod ends: as its recorded result says, or otherwise. */
export type Ending = { result: Record<string, unknown> } | { exitCode: number; message: string } | 'runs on';

export interface KubeletOptions {
  results: Results;
  /** How a pod ends; by default with its stage's recorded result. */
  ending?: (told: Told, pod: Pod) => Ending;
  /** Whether the pod's own last word holds the result, as far as there is room: yes by default. */
  summary?: boolean;
  /** Whole results go here too, before the pod ends. */
  publish?: (
    resource: Parameters<Publisher['publish']>[0],
    event: Parameters<Publisher['publish']>[1],
    attempt: number,
  ) => Promise<void> | void;
  /** How long a pod runs; 0. */
  runMilliseconds?: number;
}

/**
 * Plays every node and every worker: each pod of the operator's Jobs runs, reports and ends, with results that a real
 * worker has found. The Job controller and everything else around it is real.
 */
export class Kubelet {
  /** Pods that have run, as `stage of kind name`, in order. */
  readonly ran: string[] = [];
  readonly #client: ApiClient;
  readonly #options: KubeletOptions;
  readonly #stop = new AbortController();
  readonly #seen = new Set<string>();
  readonly #started = new Set<string>();

  constructor(client: ApiClient, options: KubeletOptions) {
    this.#client = client;
    this.#options = options;
  }

  async start(): Promise<void> {
    const informer = new Informer<Pod>(this.#client, pods, {
      labelSelector: 'app.kubernetes.io/managed-by=offsite-operator',
    });
    informer.onChange((pod) => {
      if (!pod || pod.metadata.deletionTimestamp || this.#seen.has(pod.metadata.uid!)) return;
      this.#seen.add(pod.metadata.uid!);
      void this.#runToTheEnd(pod);
    });
    void informer.start(this.#stop.signal);
    await informer.synced;
  }

  stop(): void {
    this.#stop.abort();
  }

  /** Again where the API server is away for a while; a pod that was deleted meanwhile is done with. */
  async #runToTheEnd(pod: Pod): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        return await this.#run(pod);
      } catch (error) {
        if (isNotFound(error)) return;
        await sleep(500);
      }
    }
  }

  async #run(pod: Pod): Promise<void> {
    const told = toldTo(pod);
    const { results, publish, summary = true, runMilliseconds = 0 } = this.#options;
    const { kind, metadata } = told.resource;
    const ending = this.#options.ending?.(told, pod) ?? { result: results[told.stage] };
    const started = new Date().toISOString();
    await this.#status(pod, 'Running', { running: { startedAt: started } });
    if (!this.#started.has(pod.metadata.uid!))
      this.ran.push(`${told.stage} of ${kind} ${keyOf({ ...pod, metadata })}`);
    this.#started.add(pod.metadata.uid!);
    await sleep(runMilliseconds);
    if (ending === 'runs on') return;
    const result = 'result' in ending ? placed(ending.result, told) : undefined;
    if (result) {
      const event = { type: 'result', stage: told.stage, result } as const;
      await publish?.({ kind, metadata }, event, told.attempt);
    }
    const exitCode = 'result' in ending ? 0 : ending.exitCode;
    const { artifact, ...rest } = result ?? {};
    const made = artifact ? { artifact, ...(summary && { summary: rest }) } : {};
    const message =
      'result' in ending ? JSON.stringify({ ok: true, stage: told.stage, ...made }) : ending.message;
    const finished = { startedAt: started, finishedAt: new Date().toISOString() };
    await this.#status(pod, exitCode === 0 ? 'Succeeded' : 'Failed', {
      terminated: { exitCode, message, reason: exitCode === 0 ? 'Completed' : 'Error', ...finished },
    });
  }

  async #status({ metadata, spec }: Pod, phase: string, state: object): Promise<void> {
    const { image } = spec.containers.find(({ name }) => name === 'worker')!;
    const container = {
      name: 'worker',
      image,
      imageID: image,
      ready: 'running' in state,
      restartCount: 0,
      state,
    };
    const status = { phase, startTime: new Date().toISOString(), containerStatuses: [container] };
    await this.#client.merge(pods, metadata.namespace, metadata.name, { status }, { subresource: 'status' });
  }
}

/** A result whose artifact is where this resource's output is, as that of a real worker. */
function placed({ artifact, ...rest }: Record<string, unknown>, { resource }: Told): Record<string, unknown> {
  return artifact ? { artifact: { ...artifact, uri: resource.spec.output.uri }, ...rest } : rest;
}

export function toldTo(pod: Pod): Told {
  const worker = pod.spec.containers.find(({ name }) => name === 'worker');
  const { value } = worker!.env!.find(({ name }) => name === 'OFFSITE_JOB')!;
  return JSON.parse(value.replaceAll('$$', '$')) as Told;
}
