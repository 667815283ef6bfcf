import { setTimeout as pause } from 'node:timers/promises';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  ApiClient,
  Informer,
  type InformerOptions,
  RuntimeMetrics,
} from '../../../../../operator/runtime/index.ts';
import { eventually, FakeApi, type Thing, things } from '../../../../support/unit/operator/fake-api.ts';

const quiet = { debug: vi.fn(), info: vi.fn(), warn: vi.fn(), error: vi.fn() };
const fast = { backoff: { first: 2, longest: 10 }, log: quiet };

let api: FakeApi;
let stop: AbortController;
let client: ApiClient;
beforeEach(async () => {
  vi.clearAllMocks();
  api = await FakeApi.start();
  stop = new AbortController();
  client = new ApiClient(api.config, { timeoutMilliseconds: 10_000, patienceMilliseconds: 200 });
});
afterEach(async () => {
  stop.abort();
  client.close();
  await api.stop();
});

/** An informer with the story that its listeners were told: '+a1' added, 'a2' changed, '-a' deleted. */
function follow(options: InformerOptions<Thing> = {}) {
  const informer = new Informer<Thing>(client, things, { ...fast, ...options });
  const story: string[] = [];
  informer.onChange((object, old) => {
    if (!object) story.push(`-${old!.metadata.name}`);
    else story.push(`${old ? '' : '+'}${object.metadata.name}${object.value}`);
  });
  return { informer, story, ended: informer.start(stop.signal) };
}

const seen = (informer: Informer<Thing>) =>
  Object.fromEntries(
    informer.list().map(({ metadata, value }) => [metadata.name, `${metadata.uid} ${value}`]),
  );
const real = () =>
  Object.fromEntries([...api.objects.values()].map((o) => [o.metadata.name, `${o.metadata.uid} ${o.value}`]));
const upToDate = async (informer: Informer<Thing>) => {
  await eventually(
    'the cache equals the server',
    () => JSON.stringify(sorted(seen(informer))) === JSON.stringify(sorted(real())),
  );
};
const sorted = (record: Record<string, string>) => Object.entries(record).sort();
const listed = () => api.requests.filter(({ verb }) => verb === 'list').length;
const watched = () => api.requests.filter(({ verb }) => verb === 'watch').length;

describe('an informer', () => {
  it('lists in pages, watches from there, and tells additions, changes and deletions', async () => {
    for (let i = 0; i < 25; i++) api.put(`n${i}`, i);
    const { informer, story } = follow({ pageSize: 10 });
    await informer.synced;
    expect(story).toHaveLength(25);
    expect(listed()).toBe(3);
    api.put('n3', 100);
    api.remove('n4');
    api.put('new', 1);
    await upToDate(informer);
    expect(story.slice(25)).toEqual(['n3100', '-n4', '+new1']);
    expect(api.requests.at(-1)!.url.searchParams.get('allowWatchBookmarks')).toBe('true');
  });

  it('keeps objects whole, with apiVersion and kind, but without managedFields', async () => {
    api.put('a', 1);
    const { informer } = follow();
    await informer.synced;
    expect(informer.get('default', 'a')).toEqual({
      apiVersion: 'test.dev/v1',
      kind: 'Thing',
      metadata: { name: 'a', namespace: 'default', uid: 'uid-1', resourceVersion: '101' },
      value: 1,
    });
  });

  it('finds objects by index, also after they change', async () => {
    api.put('a', 1);
    api.put('b', 1);
    const { informer } = follow({ indexes: { value: ({ value }) => [String(value)] } });
    await informer.synced;
    const names = (value: string) => informer.byIndex('value', value).map((o) => o.metadata.name);
    expect(names('1')).toEqual(['a', 'b']);
    api.put('a', 2);
    api.remove('b');
    await upToDate(informer);
    expect([names('1'), names('2')]).toEqual([[], ['a']]);
    expect(() => informer.byIndex('other', '1')).toThrow('no index other');
  });

  it('resumes a lost watch where it was, without a list', async () => {
    api.put('a', 1);
    const { informer, story } = follow();
    await eventually('a watch', () => api.openWatches === 1);
    api.put('a', 2);
    await upToDate(informer);
    api.cut();
    api.put('a', 3);
    await upToDate(informer);
    expect(listed()).toBe(1);
    expect(story).toEqual(['+a1', 'a2', 'a3']);
    expect(api.requests.at(-1)!.url.searchParams.get('resourceVersion')).toBe('102');
  });

  it('resumes from a bookmark', async () => {
    const { informer } = follow();
    await eventually('a watch', () => api.openWatches === 1);
    api.mute = true;
    api.put('unheard', 1);
    api.mute = false;
    api.bookmark();
    api.put('b', 1);
    await eventually('b is heard of', () => informer.get('default', 'b') !== undefined);
    api.end();
    await eventually('a second watch', () => watched() === 2);
    expect(api.requests.at(-1)!.url.searchParams.get('resourceVersion')).toBe('102');
  });

  it('sees an object deleted and created again under its name as a deletion and an addition', async () => {
    api.put('a', 1);
    const { informer, story } = follow();
    await eventually('a watch', () => api.openWatches === 1);
    // While nobody watches, and the events are gone.
    api.mute = true;
    api.remove('a');
    api.put('a', 2);
    api.compact();
    api.mute = false;
    api.cut();
    await upToDate(informer);
    expect(story).toEqual(['+a1', '-a', '+a2']);
    expect(informer.get('default', 'a')!.metadata.uid).toBe('uid-2');
  });

  it('reads the list again after 410 and tells only the differences', async () => {
    api.put('same', 1);
    api.put('goes', 1);
    const { informer, story } = follow();
    await eventually('a watch', () => api.openWatches === 1);
    api.mute = true;
    api.remove('goes');
    api.put('comes', 1);
    api.mute = false;
    api.errorEvent(410, 'Expired');
    await upToDate(informer);
    expect(listed()).toBe(2);
    expect(story).toEqual(['+same1', '+goes1', '-goes', '+comes1']);
  });

  it('starts over when the continue token expires between pages', async () => {
    for (let i = 0; i < 25; i++) api.put(`n${i}`, i);
    api.faults.push({ at: 'list', kind: 'expired' });
    const { informer } = follow({ pageSize: 10 });
    await informer.synced;
    expect(informer.list()).toHaveLength(25);
    // By fewer pages, and never by one answer of any size.
    const limits = api.requests.slice(0, 3).map(({ url }) => url.searchParams.get('limit'));
    expect(limits).toEqual(['10', '10', '200']);
  });

  it('notices a half-open connection by its silence', async () => {
    const metrics = new RuntimeMetrics();
    const { informer } = follow({ silenceMilliseconds: 60, metrics });
    await eventually('a watch', () => api.openWatches === 1);
    api.hang();
    api.put('a', 1);
    await upToDate(informer);
    const ends = (await metrics.watchEnds.get()).values.filter(({ labels }) => labels.reason === 'silent');
    expect(ends[0]!.value).toBeGreaterThanOrEqual(1);
  });

  it('finds an event that was never sent at the next full list', async () => {
    const { informer } = follow({ relistMilliseconds: 40 });
    await eventually('a watch', () => api.openWatches === 1);
    api.mute = true;
    api.put('lost', 1);
    api.mute = false;
    api.put('heard', 1);
    await eventually('the later event', () => informer.get('default', 'heard') !== undefined);
    expect(informer.get('default', 'lost')).toBeUndefined();
    await new Promise((resolve) => setTimeout(resolve, 50));
    api.end();
    await upToDate(informer);
    expect(listed()).toBe(2);
  });

  it('takes events in the wrong order for a reason to list', async () => {
    api.put('a', 1);
    const { informer } = follow();
    await eventually('a watch', () => api.openWatches === 1);
    api.reorder = true;
    api.put('a', 2);
    api.put('b', 1);
    api.remove('b');
    api.put('a', 3);
    api.releaseReversed();
    await eventually('a second list', () => listed() === 2);
    await upToDate(informer);
  });

  it('does not change twice for an event that comes twice', async () => {
    const { informer, story } = follow();
    await eventually('a watch', () => api.openWatches === 1);
    api.double = true;
    api.put('a', 1);
    api.put('a', 2);
    api.remove('a');
    api.put('b', 1);
    await upToDate(informer);
    expect(story).toEqual(['+a1', 'a2', '-a', '+b1']);
    expect(listed()).toBe(1);
  });

  it('shows an object again whose label was taken off and put back', async () => {
    api.put('a', 1);
    const { informer, story } = follow();
    await eventually('a watch', () => api.openWatches === 1);
    api.hide('a');
    api.put('a', 2);
    await upToDate(informer);
    expect(story).toEqual(['+a1', '-a', '+a2']);
    expect(informer.get('default', 'a')!.metadata.uid).toBe('uid-1');
    expect(listed()).toBe(1);
  });

  it.each([403, 429, 500])(
    'goes on with its watch while the list that is to make sure is refused with %i',
    async (status) => {
      const { informer } = follow({ relistMilliseconds: 1 });
      await eventually('a watch', () => api.openWatches === 1);
      api.refusesLists = status;
      for (let round = 1; round <= 3; round++) {
        await pause(2);
        api.end();
        api.put('a', round);
        await eventually('the change', () => informer.get('default', 'a')?.value === round);
      }
      expect(listed()).toBeGreaterThanOrEqual(3);
    },
  );

  it('reads the list at once when asked to, and says when it has', async () => {
    const { informer } = follow();
    await eventually('a watch', () => api.openWatches === 1);
    api.mute = true;
    api.put('unheard', 1);
    const refreshed = Promise.all([informer.refresh(), informer.refresh()]);
    api.faults.push({ at: 'list', kind: 'status', status: 503 });
    await refreshed;
    expect(seen(informer)).toEqual(real());
    expect(listed()).toBe(3);
    api.mute = false;
    await eventually('a watch', () => api.openWatches === 1);
    api.put('heard', 2);
    await upToDate(informer);
  });

  it('is settled when its list is refused for good, and synced when that is over', async () => {
    for (let i = 0; i < 3; i++) api.faults.push({ at: 'list', kind: 'status', status: 403 });
    const { informer } = follow();
    await informer.settled;
    expect([informer.isRefused, informer.hasSynced]).toEqual([true, false]);
    await informer.synced;
    expect([informer.isRefused, informer.hasSynced]).toEqual([false, true]);
  });

  it('waits as long as Retry-After says', async () => {
    const { informer } = follow();
    api.faults.push({ at: 'list', kind: 'status', status: 429, retryAfter: '1' });
    const start = performance.now();
    await informer.synced;
    expect(performance.now() - start).toBeGreaterThan(950);
  });

  it.each([400, 403, 404, 410, 422, 429, 500, 503])('survives HTTP %i for list and watch', async (status) => {
    api.put('a', 1);
    api.faults.push(
      { at: 'list', kind: 'status', status },
      { at: 'watch', kind: 'status', status },
      { at: 'watch', kind: 'status', status },
    );
    const { informer } = follow();
    await eventually('a watch', () => api.openWatches === 1);
    api.put('a', 2);
    await upToDate(informer);
    expect(api.faults).toEqual([]);
  });

  it('lists again when the server refuses to resume again and again', async () => {
    const { informer } = follow();
    await eventually('a watch', () => api.openWatches === 1);
    for (let i = 0; i < 3; i++) api.faults.push({ at: 'watch', kind: 'status', status: 504 });
    api.cut();
    api.put('a', 1);
    await upToDate(informer);
    expect(listed()).toBe(2);
  });

  it('goes on after a garbage line, a line cut off and a listener that throws, and misses nothing', async () => {
    const { informer, story } = follow();
    informer.onChange(() => {
      throw new Error('a bad listener');
    });
    await eventually('a watch', () => api.openWatches === 1);
    api.garbage();
    api.put('a', 1);
    await upToDate(informer);
    api.cutInLine();
    api.put('b', 1);
    await upToDate(informer);
    expect(story).toEqual(['+a1', '+b1']);
    expect(quiet.error).toHaveBeenCalledWith(
      expect.objectContaining({ error: 'a bad listener' }),
      'a listener failed',
    );
  });

  it('does not spin when watches end as soon as they begin', async () => {
    const { informer } = follow({ backoff: { first: 40, longest: 40 } });
    await informer.synced;
    const ending = setInterval(() => api.end(), 1);
    await new Promise((resolve) => setTimeout(resolve, 300));
    clearInterval(ending);
    expect(watched()).toBeLessThan(15);
  });

  it('does not spin when every watch is refused with 410', async () => {
    const { informer } = follow({ backoff: { first: 40, longest: 40 } });
    api.faults.push(
      ...Array.from({ length: 100 }, () => ({ at: 'watch', kind: 'status', status: 410 }) as const),
    );
    await informer.synced;
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(listed()).toBeLessThan(15);
  });

  it('ends with its signal, at once, in every state', async () => {
    const { ended, informer } = follow();
    await eventually('a watch', () => api.openWatches === 1);
    stop.abort();
    await ended;
    await eventually('the watch is closed', () => api.openWatches === 0);
    await informer.synced;
    const never = new Informer<Thing>(client, things, fast);
    const before = AbortSignal.abort(new Error('told to end'));
    await never.start(before);
    await expect(never.synced).rejects.toThrow('told to end');
  });
});

describe('whatever goes wrong', () => {
  const name = fc.constantFrom('a', 'b', 'c', 'd');
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ do: fc.constant('put' as const), name, value: fc.nat(99) }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('remove' as const, 'hide' as const), name }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('refresh' as const) }) },
    {
      weight: 5,
      arbitrary: fc.record({
        do: fc.constantFrom(
          ...([
            'cut',
            'cutInLine',
            'garbage',
            'hang',
            'end',
            'compact',
            'bookmark',
            'double',
            'reorder',
            'release',
            'error',
            'gone',
            'wait',
          ] as const),
        ),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant('fault' as const),
        fault: fc.oneof(
          fc.record({
            at: fc.constantFrom('list', 'watch'),
            kind: fc.constant('status'),
            status: fc.constantFrom(410, 422, 429, 500),
          }),
          fc.record({ at: fc.constantFrom('list', 'watch'), kind: fc.constant('reset') }),
          fc.constant({ at: 'watch', kind: 'hang' }),
          fc.constant({ at: 'list', kind: 'garbage' }),
        ),
      }),
    },
  );

  async function play(action: { do: string; name?: string; value?: number; fault?: object }): Promise<void> {
    switch (action.do) {
      case 'put':
        return api.put(action.name!, action.value!);
      case 'remove':
        return api.remove(action.name!);
      case 'hide':
        return api.hide(action.name!);
      case 'fault':
        api.faults.push(action.fault as never);
        return;
      case 'double':
        api.double = !api.double;
        return;
      case 'reorder':
        api.reorder = true;
        return;
      case 'release':
        return api.releaseReversed();
      case 'error':
        return api.errorEvent(500, 'InternalError');
      case 'gone':
        return api.errorEvent(410, 'Expired');
      case 'wait':
        return await new Promise((resolve) => setTimeout(resolve, 5));
      default:
        return api[action.do as 'cut']();
    }
  }

  it('the cache ends equal to the server, and what listeners were told adds up to it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
        const own = await FakeApi.start();
        const outer = api;
        api = own;
        const ownClient = new ApiClient(own.config, { timeoutMilliseconds: 100, patienceMilliseconds: 50 });
        const end = new AbortController();
        try {
          const informer = new Informer<Thing>(ownClient, things, {
            ...fast,
            pageSize: 2,
            silenceMilliseconds: 40,
          });
          const told = new Map<string, string>();
          informer.onChange((object, old) => {
            const { name: key, uid } = (object ?? old)!.metadata;
            // An addition is of something new, a change or deletion of what was told before.
            expect(told.get(key)).toBe(old?.metadata.uid);
            if (object) told.set(key, uid!);
            else told.delete(key);
          });
          void informer.start(end.signal);
          for (const action of steps) {
            if (action.do === 'refresh') void informer.refresh();
            else await play(action);
          }
          own.releaseReversed();
          own.double = false;
          await informer.synced;
          await upToDate(informer);
          // One that was made again with the same value is told a moment later than its value is right.
          const there = () => [...own.objects.values()].map((o) => [o.metadata.name, o.metadata.uid]).sort();
          await eventually(
            'what was told adds up to the server',
            () => JSON.stringify([...told].sort()) === JSON.stringify(there()),
          );
          expect(quiet.error).not.toHaveBeenCalled();
        } finally {
          end.abort();
          ownClient.close();
          await own.stop();
          api = outer;
        }
      }),
      { numRuns: 60 },
    );
  });
});
