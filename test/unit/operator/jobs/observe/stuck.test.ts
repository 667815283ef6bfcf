import { expect, it, vi } from 'vitest';
import { Notes, Warnings } from '../../../../../operator/jobs/index.ts';
import { type ApiClient, ApiError, type KubeObject } from '../../../../../operator/runtime/index.ts';
import { resource } from '../../../../support/unit/operator/fixtures.ts';

const object = (uid: string): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: uid, namespace: 'team', uid },
});
const event = (reason: string, note: string, time: string) => ({
  ...object(reason),
  reason,
  note,
  deprecatedLastTimestamp: time,
});

function setUp(answers: Record<string, KubeObject[]>) {
  let now = 0;
  const asked: string[] = [];
  const client = {
    list: async (_: unknown, { namespace, fieldSelector }: { namespace: string; fieldSelector: string }) => {
      const uid = /^regarding\.uid=([^,]+)(?:,type=Warning)?$/.exec(fieldSelector)?.[1] ?? '';
      asked.push(`${namespace}/${uid}`);
      return { items: answers[uid] ?? [], metadata: {} };
    },
  } as unknown as ApiClient;
  const notes = new Notes(client, { clock: () => now });
  const pass = (milliseconds: number) => {
    now += milliseconds;
  };
  return { asked, notes, pass };
}

it('the newest warning about a stuck object is its note; it is asked for every 15 seconds at most', async () => {
  const { asked, notes, pass } = setUp({
    a: [event('Late', 'no claim', '2026-01-02T00:00:00Z'), event('Early', 'x', '2026-01-01T00:00:00Z')],
  });
  expect(await notes.about([object('a'), object('b')])).toEqual(new Map([['a', 'Late: no claim']]));
  await notes.about([object('a'), object('b')]);
  expect(asked).toEqual(['team/a', 'team/b']);
  pass(16_000);
  await notes.about([object('a')]);
  expect(asked).toEqual(['team/a', 'team/b', 'team/a']);
});

it('of a Job in a queue, what Kueue said last is its note', async () => {
  const kueue = { deprecatedSource: { component: 'batch/job-kueue-controller' } };
  const { notes } = setUp({
    a: [
      { ...event('Stopped', 'The workload is deactivated', '2026-01-02T00:00:00Z'), ...kueue },
      { ...event('CreatedWorkload', 'Created Workload: team/job-a', '2026-01-01T00:00:00Z'), ...kueue },
      {
        ...event('Suspended', 'Job suspended', '2026-01-03T00:00:00Z'),
        reportingController: 'job-controller',
      },
    ],
  });
  expect(await notes.about([], [object('a')])).toEqual(
    new Map([['a', 'Stopped: The workload is deactivated']]),
  );
});

it('of events that fill pages, the newest of all is the note; of those without end, ten pages are read, one in memory', async () => {
  const asked: unknown[] = [];
  let last = 3;
  const client = {
    list: async (_: unknown, options: { limit: number; continue?: string }) => {
      asked.push([options.limit, options.continue]);
      const page = asked.length;
      const time = new Date(Date.UTC(2026, 0, page === 2 ? 20 : page)).toISOString();
      const items = [event('Page', `${page} ${'x'.repeat(100_000)}`, time)];
      return { items, metadata: page < last ? { continue: `${page}` } : {} };
    },
  } as unknown as ApiClient;
  const note = (await new Notes(client).about([object('a')])).get('a')!;
  expect([note.slice(0, 10), note.length]).toEqual(['Page: 2 xx', 2048]);
  expect(asked).toEqual([
    [50, undefined],
    [50, '1'],
    [50, '2'],
  ]);
  [asked.length, last] = [0, Number.POSITIVE_INFINITY];
  await new Notes(client).about([object('a')]);
  expect(asked).toHaveLength(10);
});

it('when many are stuck at once, few are asked about, and what is known stays', async () => {
  const many = Array.from({ length: 100 }, (_, i) => object(`p${i}`));
  const { asked, notes, pass } = setUp({ p0: [event('A', 'b', '2026-01-01T00:00:00Z')] });
  await notes.about(many);
  expect(asked).toHaveLength(10);
  pass(16_000);
  expect((await notes.about(many)).get('p0')).toBe('A: b');
  expect(asked.length).toBeLessThan(15);
});

it('an events API that is down or hangs fails nothing and is asked seldom; what was known stays', async () => {
  let now = 0;
  let asked = 0;
  let list: (signal: AbortSignal) => Promise<unknown> = async () => ({
    items: [event('Late', 'no claim', '2026-01-02T00:00:00Z')],
    metadata: {},
  });
  const client = {
    list: (_: unknown, { signal }: { signal: AbortSignal }) => {
      asked += 1;
      return list(signal);
    },
  } as unknown as ApiClient;
  const log = { debug: () => {}, info: () => {}, warn: vi.fn(), error: () => {} };
  const notes = new Notes(client, { clock: () => now, patienceMilliseconds: 20, log });
  const known = new Map([['a', 'Late: no claim']]);
  expect(await notes.about([object('a')])).toEqual(known);
  const many = Array.from({ length: 50 }, (_, i) => object(i === 0 ? 'a' : `p${i}`));
  const down = async () => {
    throw new ApiError('list Event: the server is away', { status: 0, reason: 'Unreachable' });
  };
  const hanging = (signal: AbortSignal) =>
    new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  for (const failing of [down, hanging]) {
    list = failing;
    now += 16_000;
    asked = 0;
    expect(await notes.about(many)).toEqual(known);
    expect(asked).toBe(1);
  }
  expect(log.warn).toHaveBeenCalledTimes(2);
});

it('warnings of pods become events, each once', () => {
  const told: string[] = [];
  let warnings = [{ reason: 'Leak', message: 'row 3', time: '1' }];
  const writer = new Warnings(
    { warningsOf: () => warnings },
    { event: (_, type, reason, message) => void told.push(`${type} ${reason}: ${message}`) },
  );
  writer.tell(resource('OffsiteTune'));
  writer.tell(resource('OffsiteTune'));
  warnings = [...warnings, { reason: 'not a reason', message: 'x', time: '2' }];
  writer.tell(resource('OffsiteTune'));
  expect(told).toEqual(['Warning Leak: row 3', 'Warning WorkerWarning: x']);
});
