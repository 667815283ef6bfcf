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

function metricsOf(tunes: KubeObject[]) {
  const registry = new Registry();
  const of = (list: KubeObject[]) => ({ list: () => list });
  const caches = { resources: { EmulatorBuild: of([]), OffsiteTune: of(tunes), PlugIn: of([]) } };
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

it('tells the longest silence of what runs: since the last progress, or since the start', async () => {
  const running = { phase: 'Running', startTime: secondsAgo(900) };
  const { read } = metricsOf([
    tune({ ...running, progress: { lastUpdatedTime: secondsAgo(60) } }),
    tune({ ...running, startTime: secondsAgo(300) }),
    tune({ phase: 'Complete', startTime: secondsAgo(9000) }),
    tune({}),
  ]);
  const name = 'offsite_operator_longest_silence_seconds';
  const silence = await read(name, { kind: 'OffsiteTune' });
  expect(silence).toBeGreaterThanOrEqual(300);
  expect(silence).toBeLessThan(600);
  expect(await read(name, { kind: 'PlugIn' })).toBe(0);
});

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
    new Set(['other/other', 'EmulatorBuild/probe']),
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
