import { Registry } from 'prom-client';
import { expect, it } from 'vitest';
import { type Caches, type Job, label, type Reports } from '../../../operator/jobs/index.ts';
import { OperatorMetrics } from '../../../operator/metrics.ts';
import type { KubeObject } from '../../../operator/runtime/index.ts';

const secondsAgo = (seconds: number) => new Date(Date.now() - 1000 * seconds).toISOString();
const tune = (status: object) =>
  ({
    apiVersion: 'offsite-tuning.dev/v1alpha1',
    kind: 'OffsiteTune',
    metadata: { name: 'words' },
    status,
  }) as KubeObject;

/** @param pods by the uid of the resource for whose Job they run */
function metricsOf(tunes: KubeObject[], pods: Record<string, object> = {}) {
  const registry = new Registry();
  const of = (list: KubeObject[]) => ({ list: () => list });
  const caches = {
    resources: { EmulatorBuild: of([]), OffsiteTune: of(tunes), PlugIn: of([]) },
    jobs: { byIndex: (_: string, key: string) => [{ metadata: { uid: `job-${key.split('/')[1]}` } }] },
    pods: { byIndex: (_: string, key: string) => [{ status: pods[key.split('/job-')[1] ?? ''] ?? {} }] },
  };
  const store: { state?: Reports['store'] } = {};
  const metrics = new OperatorMetrics(
    registry,
    caches as unknown as Caches,
    () => true,
    () => store.state,
  );
  const read = async (name: string, labels: object) => {
    const { values } = await registry.getSingleMetric(name)!.get();
    return values.find((value) =>
      Object.entries(labels).every(([label, text]) => value.labels[label] === text),
    )?.value;
  };
  return { metrics, read, registry, store };
}

const silenceName = 'offsite_operator_longest_silence_seconds';
const runsSince = (seconds: number) => ({
  containerStatuses: [
    { name: 'side', state: { running: { startedAt: secondsAgo(9000) } } },
    { name: 'worker', state: { running: { startedAt: secondsAgo(seconds) } } },
  ],
});
const named = (uid: string, status: object) => ({
  ...tune(status),
  metadata: { name: uid, namespace: 'team', uid },
});

it('tells the longest silence of what computes: since the last progress, or since the pod started', async () => {
  const running = { phase: 'Running', startTime: secondsAgo(9000) };
  const { read } = metricsOf(
    [
      named('a', { ...running, progress: { lastUpdatedTime: secondsAgo(60) } }),
      named('b', running),
      named('c', { phase: 'Complete', startTime: secondsAgo(9000) }),
      named('d', {}),
    ],
    { a: runsSince(2000), b: runsSince(300), c: runsSince(8000), d: runsSince(8000) },
  );
  const silence = await read(silenceName, { kind: 'OffsiteTune' });
  expect(silence).toBeGreaterThanOrEqual(300);
  expect(silence).toBeLessThan(600);
  expect(await read(silenceName, { kind: 'PlugIn' })).toBe(0);
});

it('a stage that waits in a queue or for a node is not silent, however long the one before has ended', async () => {
  const running = {
    phase: 'Running',
    startTime: secondsAgo(9000),
    progress: { lastUpdatedTime: secondsAgo(8000) },
  };
  const waits = {
    containerStatuses: [{ name: 'worker', state: { waiting: { reason: 'ContainerCreating' } } }],
  };
  const { read } = metricsOf([named('a', running), named('b', running)], { b: waits });
  expect(await read(silenceName, { kind: 'OffsiteTune' })).toBe(0);
});

it.each(['StoreUnavailable', 'JobFailed', 'Evicted'])(
  'counts a failure %s under its own name',
  async (reason) => {
    const { metrics, read } = metricsOf([]);
    const failed = tune({ phase: 'Failed', conditions: [{ type: 'Failed', status: 'True', reason }] });
    metrics.wroteStatus(tune({ phase: 'Running' }), failed);
    expect(await read('offsite_operator_failures_total', { kind: 'OffsiteTune', reason })).toBe(1);
  },
);

it('a Job with forged labels makes no series of its own', async () => {
  const { metrics, registry } = metricsOf([]);
  const job = (labels: Record<string, string>, finished: boolean): Job => ({
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name: 'forged', namespace: 'team', labels },
    status: finished ? { conditions: [{ type: 'Complete', status: 'True' }] } : {},
  });
  const end = (kind: string, stage: string) => {
    const labels = { [label.ownerKind]: kind, [label.stage]: stage };
    metrics.jobChanged(job(labels, true), job(labels, false));
  };
  for (let i = 0; i < 1000; i++) end(`Kind${i}`, `stage${i}`);
  for (const kind of ['toString', '__proto__', 'PlugIn']) end(kind, 'probe');
  end('EmulatorBuild', 'probe');
  const { values } = await registry.getSingleMetric('offsite_operator_stage_seconds')!.get();
  const counts = values.filter(({ labels }) => !('le' in labels));
  expect(new Set(counts.map(({ labels }) => `${labels.kind}/${labels.stage}`))).toEqual(
    new Set([
      'other/other',
      ...['EmulatorBuild/probe', 'EmulatorBuild/assemble', 'OffsiteTune/tune', 'PlugIn/plug'],
    ]),
  );
});

it('counts a failure by its reason, from a 0 that was there before', async () => {
  const { metrics, read } = metricsOf([]);
  const failed = (reason: string) =>
    tune({ phase: 'Failed', conditions: [{ type: 'Failed', status: 'True', reason }] });
  const failures = (reason: string) =>
    read('offsite_operator_failures_total', { kind: 'OffsiteTune', reason });
  expect(await failures('OutOfMemory')).toBe(0);
  metrics.wroteStatus(tune({ phase: 'Running' }), failed('OutOfMemory'));
  metrics.wroteStatus(failed('OutOfMemory'), failed('OutOfMemory'));
  metrics.wroteStatus(tune({ phase: 'Running' }), failed('SomethingThatAPodSaid'));
  expect(await failures('OutOfMemory')).toBe(1);
  expect(await failures('Other')).toBe(1);
});

it('tells whether NATS keeps events and how full its streams are, once that was looked at', async () => {
  const { read, store } = metricsOf([]);
  const accepts = () => read('offsite_operator_nats_accepts_events', {});
  const limit = (stream: string) => read('offsite_operator_nats_stream_limit_bytes', { stream });
  expect(await accepts()).toBeUndefined();
  store.state = { accepts: false, streams: [{ name: 'OFFSITE', bytes: 7, limitBytes: 9 }] };
  expect([await accepts(), await limit('OFFSITE')]).toEqual([0, 9]);
  store.state = { accepts: true, streams: [{ name: 'OFFSITE', bytes: 7, limitBytes: undefined }] };
  expect([await accepts(), await limit('OFFSITE')]).toEqual([1, undefined]);
  expect(await read('offsite_operator_nats_stream_bytes', { stream: 'OFFSITE' })).toBe(7);
});
