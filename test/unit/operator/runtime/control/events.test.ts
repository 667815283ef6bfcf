import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { EventRecorder, RuntimeMetrics } from '../../../../../operator/runtime/index.ts';
import { MemoryApi } from '../../../../support/unit/operator/memory-api.ts';

const quiet = { debug: vi.fn(), info: vi.fn(), warn: vi.fn(), error: vi.fn() };
const build = {
  apiVersion: 'offsite-tuning.dev/v1alpha1',
  kind: 'EmulatorBuild',
  metadata: { name: 'words', namespace: 'team', uid: 'u-1', resourceVersion: '7' },
};
let api: MemoryApi;
let metrics: RuntimeMetrics;
beforeEach(() => {
  vi.useFakeTimers();
  api = new MemoryApi();
  metrics = new RuntimeMetrics();
});
afterEach(() => void vi.useRealTimers());

const recorder = (reportingInstance = 'pod-1') =>
  new EventRecorder({
    client: api.client(),
    reportingController: 'offsite-tuning.dev/operator',
    reportingInstance,
    metrics,
    log: quiet,
  });
const written = () => [...api.objects.values()] as unknown as { note: string }[];
const pass = (seconds: number) => vi.advanceTimersByTimeAsync(seconds * 1000);
const counted = async (result: string) =>
  (await metrics.events.get()).values.find(({ labels }) => labels.result === result)?.value ?? 0;

describe('the event recorder', () => {
  it('writes events.k8s.io/v1 with all that the API asks for', async () => {
    recorder().event(build, 'Normal', 'JobCreated', 'created Job words-probe-1', 'CreateJob');
    await pass(0);
    expect(written()).toHaveLength(1);
    expect(written()[0]).toMatchObject({
      apiVersion: 'events.k8s.io/v1',
      metadata: { namespace: 'team', name: expect.stringMatching(/^words\.[0-9a-f]{16}$/) },
      eventTime: expect.stringMatching(/\.\d{6}Z$/),
      type: 'Normal',
      reason: 'JobCreated',
      action: 'CreateJob',
      note: 'created Job words-probe-1',
      reportingController: 'offsite-tuning.dev/operator',
      reportingInstance: 'pod-1',
      regarding: { kind: 'EmulatorBuild', namespace: 'team', name: 'words', uid: 'u-1' },
    });
  });

  it('makes one event with a series of what is told again and again, written once a minute', async () => {
    const events = recorder();
    for (let i = 0; i < 100; i++) {
      events.event(build, 'Warning', 'WaitingForEmulator', 'waits for EmulatorBuild words');
      await pass(1);
    }
    await pass(60);
    expect(written()).toHaveLength(1);
    expect(written()[0]).toMatchObject({ series: { count: 100 } });
    expect(api.requests.length).toBeLessThanOrEqual(3);
  });

  it('keeps apart what differs in object, type, reason or message', async () => {
    const events = recorder();
    events.event(build, 'Normal', 'A', 'x');
    events.event(build, 'Warning', 'A', 'x');
    events.event(build, 'Normal', 'B', 'x');
    events.event(build, 'Normal', 'A', 'y');
    events.event({ ...build, metadata: { ...build.metadata, uid: 'u-2' } }, 'Normal', 'A', 'x');
    await pass(0);
    expect(written()).toHaveLength(5);
  });

  it('goes on with the series of a process that died', async () => {
    recorder('pod-1').event(build, 'Normal', 'A', 'x');
    await pass(0);
    recorder('pod-2').event(build, 'Normal', 'A', 'x');
    await pass(0);
    recorder('pod-3').event(build, 'Normal', 'A', 'x');
    await pass(0);
    expect(written()).toHaveLength(1);
    expect(written()[0]).toMatchObject({ series: { count: 3 }, reportingInstance: 'pod-1' });
  });

  it('drops what is too much for one object, counts it, and lets others pass', async () => {
    const events = recorder();
    for (let i = 0; i < 100; i++) events.event(build, 'Normal', 'A', `message ${i}`);
    events.event({ ...build, metadata: { ...build.metadata, uid: 'other' } }, 'Normal', 'A', 'x');
    await pass(0);
    expect(written()).toHaveLength(26);
    expect(await counted('dropped')).toBe(75);
  });

  it('never throws and goes on when the API server refuses', async () => {
    const events = recorder();
    api.before = () => {
      throw new Error('no');
    };
    events.event(build, 'Normal', 'A', 'x');
    await pass(0);
    api.before = () => {};
    events.event(build, 'Normal', 'B', 'x');
    await pass(0);
    expect(written()).toHaveLength(1);
    expect(await counted('failed')).toBe(1);
  });

  it('cuts a note at 1,024 bytes, between characters', async () => {
    recorder().event(build, 'Normal', 'A', 'ä'.repeat(1000));
    await pass(0);
    const note = written()[0]!.note;
    expect(Buffer.byteLength(note)).toBeLessThanOrEqual(1024);
    expect(note).toMatch(/^ä{500,}…$/);
  });

  it('makes what pods say printable, and keeps its lines', async () => {
    recorder().event(build, 'Warning', 'Failed', 'a\u001b[2Jb\u0007\u202Ec\nd');
    await pass(0);
    expect(written()[0]!.note).toBe('a\\u{1b}[2Jb\\u{7}\\u{202e}c\nd');
  });

  it('flushes what waits, for a limited time', async () => {
    const events = recorder();
    api.before = () => new Promise((resolve) => setTimeout(resolve, 300));
    events.event(build, 'Normal', 'A', 'x');
    const flushed = vi.fn();
    void events.flush(1000).then(flushed);
    await pass(0.4);
    expect(flushed).toHaveBeenCalled();
    expect(written()).toHaveLength(1);
    api.before = () => new Promise(() => {});
    events.event(build, 'Normal', 'B', 'x');
    const given = vi.fn();
    void events.flush(1000).then(given);
    await pass(0.9);
    expect(given).not.toHaveBeenCalled();
    await pass(0.2);
    expect(given).toHaveBeenCalled();
  });
});
