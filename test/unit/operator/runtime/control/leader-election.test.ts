import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { isFree, type Lease, observe } from '../../../../../operator/runtime/api/lease.ts';
import { LeaderElection, type LeaderElectionOptions } from '../../../../../operator/runtime/index.ts';
import { MemoryApi } from '../../../../support/unit/operator/memory-api.ts';

const quiet = { debug: vi.fn(), info: vi.fn(), warn: vi.fn(), error: vi.fn() };
const path = '/apis/coordination.k8s.io/v1/namespaces/system/leases/operator';
let api: MemoryApi;
let running: AbortController[];
beforeEach(() => {
  vi.useFakeTimers();
  api = new MemoryApi();
  running = [];
});
afterEach(() => {
  for (const stop of running) stop.abort();
  vi.useRealTimers();
});

const pass = (seconds: number) => vi.advanceTimersByTimeAsync(seconds * 1000);
const spec = () => (api.objects.get(path) as unknown as Lease).spec!;

/** One replica; `cut` parts it from the API server, `log` tells what it did. */
function replica(identity: string, options: Partial<LeaderElectionOptions> = {}) {
  const stop = new AbortController();
  running.push(stop);
  const log: string[] = [];
  let writeLater: number | undefined;
  const self = {
    cut: false,
    log,
    stop,
    workSeconds: 0,
    election: undefined as never as LeaderElection,
    /** Ends this replica while it renews; the API server takes that renewal all the same, so much later. */
    cutOffRenewal: (milliseconds: number) => {
      writeLater = milliseconds;
    },
  };
  const own = new MemoryApi();
  // A replica that still ends must not meet the next test's server.
  const server = api;
  own.send = async (request) => {
    if (self.cut) throw new Error('cut off');
    if (request.method === 'PUT' && writeLater !== undefined) {
      const write = () => void server.send({ ...request, signal: undefined });
      setTimeout(write, writeLater);
      writeLater = undefined;
      stop.abort();
      throw new Error('cut off');
    }
    return await server.send(request);
  };
  self.election = new LeaderElection({
    client: own.client(),
    namespace: 'system',
    name: 'operator',
    identity,
    log: quiet,
    onLost: (why) => log.push(`lost: ${why}`),
    ...options,
  });
  const ended = self.election.run(stop.signal, async (signal) => {
    log.push('leads');
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    await new Promise((resolve) => setTimeout(resolve, self.workSeconds * 1000));
    log.push('stops');
  });
  void ended.then(
    () => log.push('ended'),
    () => log.push('failed'),
  );
  return self;
}

describe('a lease', () => {
  const lease = (resourceVersion: string, more: Lease['spec'] = {}): Lease => ({
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { name: 'operator', namespace: 'system', resourceVersion },
    spec: {
      holderIdentity: 'other',
      leaseDurationSeconds: 15,
      renewTime: '1999-01-01T00:00:00.000000Z',
      ...more,
    },
  });

  it('is taken only after it was seen unchanged for its duration, whatever its times say', () => {
    let seen = observe(lease('1'), undefined, 0);
    expect(isFree(seen, 'me', 14_999, 15)).toBe(false);
    expect(isFree(seen, 'me', 15_000, 15)).toBe(true);
    seen = observe(lease('1'), seen, 10_000);
    expect(seen.since).toBe(0);
    seen = observe(lease('2', { renewTime: '2999-01-01T00:00:00.000000Z' }), seen, 12_000);
    expect(isFree(seen, 'me', 26_999, 15)).toBe(false);
    expect(isFree(seen, 'me', 27_000, 15)).toBe(true);
  });

  it('is free when nobody holds it', () => {
    expect(isFree(observe(lease('1', { holderIdentity: '' }), undefined, 0), 'me', 0, 15)).toBe(true);
    expect(isFree(observe(lease('1', { holderIdentity: null }), undefined, 0), 'me', 0, 15)).toBe(true);
  });
});

describe('leader election', () => {
  it('takes a lease that does not exist, renews it every 2 s, and counts transitions', async () => {
    const a = replica('a');
    await pass(0);
    expect(a.log).toEqual(['leads']);
    expect(spec()).toMatchObject({ holderIdentity: 'a', leaseDurationSeconds: 15, leaseTransitions: 1 });
    const first = spec().renewTime;
    await pass(2);
    expect(spec().renewTime! > first!).toBe(true);
    expect(spec().renewTime).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
    expect(spec().leaseTransitions).toBe(1);
  });

  it('keeps a second replica waiting as long as the first renews', async () => {
    replica('a');
    const b = replica('b');
    await pass(300);
    expect(b.log).toEqual([]);
    expect(b.election.leading).toBe(false);
  });

  it('goes on with another leader after one died, 15 to 20 s later', async () => {
    const a = replica('a');
    const b = replica('b');
    await pass(5);
    a.cut = true;
    await pass(12);
    expect(b.log).toEqual([]);
    await pass(7);
    expect(b.log).toEqual(['leads']);
    expect(spec().leaseTransitions).toBe(2);
  });

  it('gives the lease back when told to end, after the work has ended; the next leads within 3 s', async () => {
    const a = replica('a');
    const b = replica('b');
    await pass(1);
    a.workSeconds = 20;
    a.stop.abort();
    await pass(19);
    // Flights still land, so it still renews.
    expect(spec().holderIdentity).toBe('a');
    expect(b.log).toEqual([]);
    await pass(4);
    expect(a.log).toEqual(['leads', 'stops', 'ended']);
    expect(b.log).toEqual(['leads']);
  });

  it.each([0, 150, 1000])(
    'gives the lease back though a renewal that its end cut off is written %i ms later',
    async (late) => {
      const a = replica('a');
      const b = replica('b');
      await pass(1);
      api.before = () => new Promise((resolve) => setTimeout(resolve, 100));
      a.cutOffRenewal(late);
      await pass(5);
      expect(a.log).toEqual(['leads', 'stops', 'ended']);
      expect(b.log).toEqual(['leads']);
      expect(b.election.leading).toBe(true);
    },
  );

  it('gives up when it cannot renew for 10 s, before anybody else may lead', async () => {
    const a = replica('a');
    const b = replica('b');
    await pass(1);
    a.cut = true;
    await pass(8.9);
    expect(a.log).toEqual(['leads']);
    await pass(2);
    expect(a.log.slice(0, 2)).toEqual(['leads', 'lost: it could not be renewed in time']);
    expect(a.log).toContain('stops');
    expect(b.log).toEqual([]);
    expect(() => a.election.assertLeading()).toThrow('not written');
  });

  it('survives a short cut and slow answers', async () => {
    const a = replica('a');
    const b = replica('b');
    await pass(1);
    a.cut = true;
    await pass(6);
    a.cut = false;
    api.before = () => new Promise((resolve) => setTimeout(resolve, 1500));
    await pass(60);
    expect(a.log).toEqual(['leads']);
    expect(b.log).toEqual([]);
  });

  it('gives up at the next renewal when the lease was stolen', async () => {
    const a = replica('a');
    await pass(1);
    api.edit(path, (lease) => {
      (lease as unknown as Lease).spec!.holderIdentity = 'thief';
    });
    await pass(2);
    expect(a.log.slice(0, 2)).toEqual(['leads', 'lost: another replica holds it']);
    expect(a.log).toContain('stops');
    await pass(60);
    expect(spec().holderIdentity).toBe('thief');
  });

  it('makes the lease again when somebody deleted it', async () => {
    const a = replica('a');
    await pass(1);
    api.objects.delete(path);
    await pass(3);
    expect(spec().holderIdentity).toBe('a');
    expect(a.log).toEqual(['leads']);
  });

  it('knows that it does not lead after the process was stopped for long, before it hears of it', async () => {
    const a = replica('a');
    await pass(1);
    expect(a.election.leading).toBe(true);
    // Time goes on, but no timer has run: as after SIGSTOP and SIGCONT.
    vi.setSystemTime(Date.now() + 20_000);
    const later = performance.now() + 20_000;
    vi.spyOn(performance, 'now').mockImplementation(() => later);
    expect(a.election.leading).toBe(false);
    expect(() => a.election.assertLeading()).toThrow('does not hold the lease');
    vi.restoreAllMocks();
  });

  it('of many that start at once, one leads, at every moment', async () => {
    const replicas = Array.from({ length: 5 }, (_, i) => replica(`r${i}`));
    api.before = () => new Promise((resolve) => setTimeout(resolve, Math.random() * 800));
    for (let second = 0; second < 240; second++) {
      if (second % 40 === 20) for (const r of replicas) r.cut = Math.random() < 0.5 && r.election.leading;
      if (second % 40 === 35) for (const r of replicas) r.cut = false;
      await pass(1);
      expect(replicas.filter(({ election }) => election.leading).length).toBeLessThanOrEqual(1);
    }
    expect(replicas.some(({ log }) => log.includes('leads'))).toBe(true);
  });

  it('ends at once when told before it leads', async () => {
    replica('a');
    const b = replica('b');
    await pass(10);
    b.stop.abort();
    await pass(0);
    expect(b.log).toEqual(['ended']);
    expect(spec().holderIdentity).toBe('a');
  });
});
