// The writes of a bench of many resources: those of users, and those of the operator made without looking.
import { setTimeout as sleep } from 'node:timers/promises';
import { decide } from '../operator/jobs/index.ts';
import { checkSpec } from '../operator/jobs/spec/check.ts';
import { rulesFor } from '../operator/kinds.ts';
import { type ApiClient, events, Informer, jobs, type KubeObject } from '../operator/runtime/index.ts';
import { emulatorBuilds } from '../test/support/api/api-server.ts';

/** Users create so many at the same time. */
export const creators = 16;
/** The operator's own concurrency, and the bare loop's. */
export const writers = 8;
export const image = 'worker:bench';

/** All at once, as far as one client can. */
export async function createBuilds(
  client: ApiClient,
  namespace: string,
  count: number,
  made: (object: KubeObject) => void = () => {},
): Promise<void> {
  let next = 0;
  const creator = async () => {
    for (let i = next++; i < count; i = next++) {
      const build = {
        apiVersion: 'offsite-tuning.dev/v1alpha1',
        kind: 'EmulatorBuild',
        metadata: { name: `words-${i}`, namespace },
        spec: {
          model: { uri: 'pvc://models/smollm2' },
          probe: { data: { uri: 'pvc://data/probe.jsonl', format: 'text' } },
          layers: 24,
          output: { uri: `pvc://artifacts/words-${i}` },
        },
      };
      made(await client.create<KubeObject>(emulatorBuilds, build));
    }
  };
  await Promise.all(Array.from({ length: creators }, creator));
}

/** The same resources, and for each the writes that the operator makes, by a client that reads nothing. */
export async function bareLoop(client: ApiClient, namespace: string, count: number): Promise<void> {
  const writing: KubeObject[] = [];
  const telling: [KubeObject, KubeObject][] = [];
  let written = 0;
  const writer = async () => {
    while (written < count) {
      const object = writing.shift();
      if (object === undefined) await sleep(2);
      else {
        telling.push([object, await writeFor(client, object)]);
        written += 1;
      }
    }
  };
  // As in the operator, events are told by one writer, behind the work.
  const teller = async () => {
    while (written < count) {
      const next = telling.shift();
      if (next === undefined) await sleep(2);
      else await tell(client, ...next);
    }
  };
  await Promise.all([
    createBuilds(client, namespace, count, (object) => writing.push(object)),
    ...Array.from({ length: writers }, writer),
    teller(),
  ]);
}

/** Status, then Job. @returns the Job */
async function writeFor(client: ApiClient, object: KubeObject): Promise<KubeObject> {
  const nothing = { jobs: [], pods: [], others: [], dependencies: {}, claims: new Map(), notes: new Map() };
  const observed = { object, ...nothing, reports: { connected: undefined, results: {} } };
  const situation = { observed, checked: checkSpec(object), latest: 0 };
  const { status, create } = decide(rulesFor('EmulatorBuild'), situation, { image }, new Date());
  const { name, namespace, uid, resourceVersion } = object.metadata;
  const metadata = { name, namespace, uid, resourceVersion } as KubeObject['metadata'];
  const body = { apiVersion: object.apiVersion, kind: object.kind, metadata, status };
  const fieldManager = 'offsite-operator';
  await client.applyStatus(emulatorBuilds, body, { fieldManager, force: true });
  return await client.create(jobs, create[0]!, { fieldManager, fieldValidation: 'Strict' });
}

async function tell(client: ApiClient, object: KubeObject, job: KubeObject): Promise<void> {
  const { name, namespace, uid } = object.metadata;
  await client.create(events, {
    apiVersion: 'events.k8s.io/v1',
    kind: 'Event',
    metadata: { name: `${name}.${job.metadata.uid!.slice(0, 16)}`, namespace: namespace! },
    eventTime: new Date().toISOString().replace('Z', '000Z'),
    type: 'Normal',
    reason: 'JobCreated',
    action: 'JobCreated',
    note: `created Job ${job.metadata.name} (stage probe, attempt 1)`,
    regarding: { apiVersion: object.apiVersion, kind: object.kind, name, namespace, uid },
    reportingController: 'offsite-tuning.dev/operator',
    reportingInstance: 'bench',
  });
}

/** Seconds from the start of `work` until the namespace has so many Jobs. */
export async function secondsUntilJobs(
  client: ApiClient,
  namespace: string,
  count: number,
  work: () => Promise<void>,
): Promise<number> {
  const stop = new AbortController();
  const all = Promise.withResolvers<number>();
  const shorten = ({ apiVersion, kind, metadata }: KubeObject) => ({ apiVersion, kind, metadata });
  const informer = new Informer<KubeObject>(client, jobs, { namespace, shorten });
  let seen = 0;
  informer.onChange((_, old) => {
    if (old === undefined && ++seen === count) all.resolve(performance.now());
  });
  void informer.start(stop.signal);
  await informer.synced;
  const start = performance.now();
  const [end] = await Promise.all([all.promise, work()]);
  stop.abort();
  return (end - start) / 1000;
}
