import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  ApiError,
  Controller,
  EventRecorder,
  logTo,
  type Outcome,
  RuntimeMetrics,
} from '../../../../../operator/runtime/index.ts';

const quiet = { debug: vi.fn(), info: vi.fn(), warn: vi.fn(), error: vi.fn() };
let stop: AbortController;
beforeEach(() => {
  vi.useFakeTimers();
  vi.clearAllMocks();
  stop = new AbortController();
});
afterEach(() => {
  stop.abort();
  vi.useRealTimers();
});

const pass = (milliseconds: number) => vi.advanceTimersByTimeAsync(milliseconds);

describe('a controller', () => {
  it('works on many keys at once, bounded, and on each key once at a time', async () => {
    let now = 0;
    let most = 0;
    const inWork = new Set<string>();
    const reconcile = async (key: string) => {
      expect(inWork).not.toContain(key);
      inWork.add(key);
      most = Math.max(most, ++now);
      await new Promise((resolve) => setTimeout(resolve, 100));
      now -= 1;
      inWork.delete(key);
    };
    const controller = new Controller({ name: 'test', concurrency: 3, reconcile, log: quiet });
    void controller.run(stop.signal);
    for (let round = 0; round < 5; round++) {
      for (let i = 0; i < 10; i++) controller.enqueue(`k${i}`);
      await pass(50);
    }
    await pass(5000);
    expect(most).toBe(3);
    expect(inWork.size).toBe(0);
  });

  it('tries again after errors with growing waits, each key for itself, and forgets them after success', async () => {
    const tries: number[] = [];
    const start = performance.now();
    let failing = true;
    const reconcile = async (key: string) => {
      if (key === 'good') return;
      tries.push(performance.now() - start);
      if (failing) throw new Error('broken');
    };
    const controller = new Controller({
      name: 'test',
      reconcile,
      log: quiet,
      backoff: { first: 100, longest: 1000 },
    });
    void controller.run(stop.signal);
    controller.enqueue('bad');
    await pass(6000);
    const waits = tries.slice(1).map((time, i) => time - tries[i]!);
    for (const [i, wait] of waits.entries()) {
      const full = Math.min(1000, 100 * 2 ** i);
      expect(wait).toBeGreaterThanOrEqual(0.8 * full - 1);
      expect(wait).toBeLessThanOrEqual(full + 1);
    }
    failing = false;
    await pass(1000);
    const before = tries.length;
    await pass(10_000);
    expect(tries.length).toBe(before);
    failing = true;
    controller.enqueue('bad');
    await pass(110);
    expect(tries.length).toBe(before + 2);
  });

  it('heeds Retry-After and tells a conflict only in debug lines', async () => {
    const errors = [
      new ApiError('busy', { status: 429, reason: 'TooManyRequests', retryAfterSeconds: 7 }),
      new ApiError('changed', { status: 409, reason: 'Conflict' }),
    ];
    const reconcile = vi.fn(async () => {
      const error = errors.shift();
      if (error) throw error;
    });
    const controller = new Controller({ name: 'test', reconcile, log: quiet });
    void controller.run(stop.signal);
    controller.enqueue('a');
    await pass(6900);
    expect(reconcile).toHaveBeenCalledTimes(1);
    await pass(200);
    expect(reconcile).toHaveBeenCalledTimes(2);
    await pass(500);
    expect(reconcile).toHaveBeenCalledTimes(3);
    expect(quiet.warn).toHaveBeenCalledTimes(1);
    expect(quiet.debug).toHaveBeenCalledTimes(1);
  });

  it('gives every log line of a reconcile its id, also of the events that it tells, and others none', async () => {
    const lines: Record<string, unknown>[] = [];
    vi.stubEnv('LOG_LEVEL', 'debug');
    const log = logTo({ write: (line) => void lines.push(JSON.parse(line) as Record<string, unknown>) });
    vi.unstubAllEnvs();
    const client = { create: () => Promise.reject(new Error('no events here')) };
    const told = { log, reportingController: 'test', reportingInstance: 'test' };
    const recorder = new EventRecorder({ client: client as never, ...told });
    const event = (name: string) =>
      recorder.event({ apiVersion: 'v1', kind: 'Pod', metadata: { name } }, 'Normal', 'Told', name);
    const reconcile = async (key: string) => {
      event(key);
      await new Promise((resolve) => setTimeout(resolve, 100));
      log.info({}, 'in the middle');
      throw new Error('broken');
    };
    const controller = new Controller({ name: 'test', concurrency: 2, reconcile, log });
    void controller.run(stop.signal);
    event('outside');
    for (const key of ['a', 'b']) controller.enqueue(key);
    await pass(150);
    log.info({}, 'outside');
    const of = (key: string) => lines.filter((line) => line['key'] === key);
    const ids = ['a', 'b'].map((key) => new Set(of(key).map(({ reconcileId }) => reconcileId)));
    for (const key of ['a', 'b']) {
      expect(of(key).map(({ msg }) => msg)).toEqual([
        'an event was not written',
        'in the middle',
        'reconcile failed; trying again',
      ]);
      expect(of(key)[0]?.['event']).toMatch(new RegExp(`^${key}\\.`));
      expect(new Set(of(key).map(({ controller }) => controller))).toEqual(new Set(['test']));
    }
    expect(ids.map(({ size }) => size)).toEqual([1, 1]);
    expect([...ids[0]!][0]).toMatch(/^[0-9a-f-]{36}$/);
    expect([...ids[0]!][0]).not.toBe([...ids[1]!][0]);
    const outside = lines.filter((line) => line['reconcileId'] === undefined);
    expect(outside.map(({ msg }) => msg)).toEqual(['an event was not written', 'outside']);
    const first = of('a')[0]?.['reconcileId'];
    await pass(500);
    expect(of('a').at(-1)?.['reconcileId']).not.toBe(first);
  });

  it('looks again when the reconcile asks for it, and earlier when something changes', async () => {
    const reconcile = vi.fn(async (): Promise<Outcome> => ({ requeueAfterMilliseconds: 1000 }));
    const controller = new Controller({ name: 'test', reconcile, log: quiet });
    void controller.run(stop.signal);
    controller.enqueue('a');
    await pass(500);
    controller.enqueue('a');
    await pass(0);
    expect(reconcile).toHaveBeenCalledTimes(2);
    await pass(500);
    expect(reconcile).toHaveBeenCalledTimes(3);
  });

  it('ends when told: takes no more keys, and lets flights land', async () => {
    const landed: string[] = [];
    const reconcile = async (key: string) => {
      await new Promise((resolve) => setTimeout(resolve, 1000));
      landed.push(key);
    };
    const controller = new Controller({ name: 'test', concurrency: 2, reconcile, log: quiet });
    const ended = vi.fn();
    void controller.run(stop.signal).then(ended);
    for (const key of ['a', 'b', 'c']) controller.enqueue(key);
    await pass(10);
    stop.abort();
    await pass(900);
    expect(ended).not.toHaveBeenCalled();
    await pass(100);
    expect(ended).toHaveBeenCalled();
    expect(landed).toEqual(['a', 'b']);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('counts what it does, with no object in the labels', async () => {
    const metrics = new RuntimeMetrics();
    const reconcile = async (key: string) => {
      if (key === 'bad') throw new Error('broken');
    };
    const controller = new Controller({ name: 'test', reconcile, log: quiet, metrics });
    void controller.run(stop.signal);
    controller.enqueue('good');
    controller.enqueue('bad');
    await pass(10);
    const text = await metrics.registry.metrics();
    expect(text).toContain('offsite_operator_reconciles_total{controller="test",result="success"} 1');
    expect(text).toContain('offsite_operator_reconciles_total{controller="test",result="error"} 1');
    expect(text).not.toMatch(/good|bad/);
  });
});
