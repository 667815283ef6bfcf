import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { describe, expect, it, test, vi } from 'vitest';
import { Reports } from '../../../../operator/progress/index.ts';
import { Results } from '../../../../operator/progress/results.ts';
import type { StageEvent } from '../../../../src/progress/index.ts';
import { decodeMessage } from '../../../../src/progress/nats/message.ts';

const run = { namespace: 'data', kind: 'EmulatorBuild', name: 'words', uid: 'u' };
const reports = () => new Reports({ url: 'nats://127.0.0.1:1' });

type Sent = {
  publisher: string;
  sequence: number;
  event: StageEvent;
  at: number;
  seconds?: number;
  shard?: { index: number; count: number };
  attempt?: number;
};
const deliver = (to: Reports, { publisher, sequence, event, at, seconds = at, shard, attempt }: Sent) =>
  to.accept({
    message: {
      ...run,
      publisher,
      sequence,
      event,
      ...(shard && { shard }),
      ...(attempt !== undefined && { attempt }),
    },
    order: at,
    time: new Date(1_700_000_000_000 + seconds * 1000),
  });

const progress = (
  stage: string,
  progressPercentage: number,
  estimatedRemainingSeconds?: number,
): StageEvent => ({
  type: 'progress',
  stage,
  progressPercentage,
  ...(estimatedRemainingSeconds !== undefined && { estimatedRemainingSeconds }),
  metrics: [
    { name: 'loss', value: '2' },
    { name: 'loss', value: '1' },
  ],
});
const warning = (message: string): StageEvent => ({ type: 'warning', reason: 'Test', message });

test('shards of a stage: their mean, the longest time left, metrics each once', () => {
  const known = reports();
  deliver(known, {
    publisher: 'a',
    sequence: 1,
    event: progress('probe', 20, 80),
    at: 1,
    shard: { index: 0, count: 3 },
  });
  deliver(known, {
    publisher: 'b',
    sequence: 1,
    event: progress('probe', 61, 30),
    at: 2,
    shard: { index: 2, count: 3 },
  });
  expect(known.progressOf('u', undefined, new Date(1_700_000_005_000))).toEqual({
    stage: 'probe',
    progressPercentage: 27,
    estimatedRemainingSeconds: 80,
    metrics: [{ name: 'loss', value: '1' }],
    lastUpdatedTime: new Date(1_700_000_002_000).toISOString(),
  });
});

test('the pod that took over a share is what counts, and a share of another division is not', () => {
  const known = reports();
  const shared = (index: number, count: number) => ({ shard: { index, count } });
  deliver(known, { publisher: 'dead', sequence: 9, event: progress('probe', 90), at: 1, ...shared(0, 2) });
  deliver(known, { publisher: 'new', sequence: 1, event: progress('probe', 50), at: 2, ...shared(0, 2) });
  deliver(known, { publisher: 'done', sequence: 1, event: progress('probe', 100), at: 3, ...shared(1, 2) });
  expect(known.progressOf('u')?.progressPercentage).toBe(75);
  deliver(known, { publisher: 'alone', sequence: 1, event: progress('probe', 30), at: 4 });
  expect(known.progressOf('u')?.progressPercentage).toBe(30);
  deliver(known, { publisher: 'next', sequence: 1, event: progress('assemble', 5), at: 5 });
  expect(known.progressOf('u')).toMatchObject({ stage: 'assemble', progressPercentage: 5 });
});

test('no clock but ours is believed for the future', () => {
  const known = reports();
  deliver(known, { publisher: 'a', sequence: 1, event: progress('probe', 1), at: 1, seconds: 1e9 });
  expect(known.progressOf('u', undefined, new Date(5000))?.lastUpdatedTime).toBe(
    new Date(5000).toISOString(),
  );
});

test('what is forgotten is gone', () => {
  const known = reports();
  deliver(known, { publisher: 'a', sequence: 1, event: progress('probe', 1), at: 1 });
  known.forget('u');
  expect(known.progressOf('u')).toBeUndefined();
  expect(known.warningsOf('u')).toEqual([]);
  expect(known.resultOf('u', 'probe')).toBeUndefined();
});

test('in whatever order and how often messages are delivered, the end is the same, and nothing old is news', () => {
  const sent: Sent[] = ['a', 'b'].flatMap((publisher, p) =>
    Array.from({ length: 6 }, (_, i): Sent => {
      const events = [
        progress(i < 3 ? 'probe' : 'assemble', 10 * i),
        warning(`${publisher} ${i}`),
        { type: 'result', stage: 'probe', result: i } as StageEvent,
      ];
      return { publisher, sequence: i + 1, event: events[i % 3] as StageEvent, at: 2 * i + p + 1 };
    }),
  );
  const endOf = (deliveries: readonly Sent[]) => {
    const known = reports();
    let news = 0;
    known.onReport(() => news++);
    for (const message of deliveries) deliver(known, message);
    for (const message of deliveries) deliver(known, message);
    const now = new Date(1_800_000_000_000);
    return [
      known.progressOf('u', undefined, now),
      known.warningsOf('u'),
      known.resultOf('u', 'probe'),
      news <= sent.length,
    ];
  };
  const right = endOf(sent);
  const shuffled = fc.shuffledSubarray(sent, { minLength: sent.length });
  fc.assert(
    fc.property(shuffled, fc.subarray(sent), (all, twice) => {
      expect(endOf([...all, ...twice])).toEqual(right);
    }),
  );
});

test('many warnings: the latest stay', () => {
  const known = reports();
  for (let i = 1; i <= 100; i++)
    deliver(known, { publisher: 'a', sequence: i, event: warning(`${i}`), at: i });
  expect(known.warningsOf('u').map(({ message }) => message)).toEqual(
    Array.from({ length: 20 }, (_, i) => `${81 + i}`),
  );
});

describe('late reports, of an earlier attempt', () => {
  const result = (value: string): StageEvent => ({ type: 'result', stage: 'assemble', result: value });
  const early: Sent[] = [
    { publisher: 'a', sequence: 1, event: progress('tune', 90), at: 1, attempt: 1 },
    { publisher: 'a', sequence: 2, event: result('first'), at: 2, attempt: 1 },
  ];
  const second: Sent[] = [
    { publisher: 'b', sequence: 1, event: progress('tune', 10), at: 3, attempt: 2 },
    { publisher: 'b', sequence: 2, event: result('second'), at: 4, attempt: 2 },
  ];

  it('are nothing to the next one, which has not been heard of yet', () => {
    const known = reports();
    for (const sent of early) deliver(known, sent);
    expect(known.resultOf('u', 'assemble', 1)).toBe('first');
    expect(known.resultOf('u', 'assemble', 2)).toBeUndefined();
    expect(known.progressOf('u', 2)).toBeUndefined();
  });

  it('change nothing and are no news, even where a lost node sends them after all others, and twice', () => {
    const known = reports();
    for (const sent of second) deliver(known, sent);
    let news = 0;
    known.onReport(() => news++);
    for (const sent of [...early, ...early]) deliver(known, { ...sent, at: sent.at + 10 });
    expect(news).toBe(0);
    expect(known.resultOf('u', 'assemble', 2)).toBe('second');
    expect(known.progressOf('u', 2)?.progressPercentage).toBe(10);
  });

  it('in any order with the next one’s: what counts is the same', () => {
    const all = [...early, ...second];
    fc.assert(
      fc.property(fc.shuffledSubarray([...all, ...all], { minLength: 2 * all.length }), (sent) => {
        const known = reports();
        for (const message of sent) deliver(known, message);
        expect(known.resultOf('u', 'assemble', 2)).toBe('second');
        expect(known.progressOf('u', 2)?.progressPercentage).toBe(10);
        expect(known.resultOf('u', 'assemble', 1)).toBeUndefined();
      }),
    );
  });

  it('of another uid are another resource’s', () => {
    const known = reports();
    for (const sent of second) deliver(known, sent);
    expect(known.resultOf('v', 'assemble', 2)).toBeUndefined();
  });

  it('leave its shards alone: one that has not begun has done nothing', () => {
    const known = reports();
    const share = (index: number) => ({ shard: { index, count: 2 } });
    deliver(known, { ...early[0]!, ...share(1) });
    deliver(known, { ...second[0]!, ...share(0) });
    expect(known.progressOf('u', 2)?.progressPercentage).toBe(5);
  });

  it('warnings of any attempt stay: they are told once, whenever they come', () => {
    const known = reports();
    deliver(known, { publisher: 'b', sequence: 1, event: warning('new'), at: 3, attempt: 2 });
    deliver(known, { publisher: 'a', sequence: 1, event: warning('old'), at: 4, attempt: 1 });
    expect(known.warningsOf('u').map(({ message }) => message)).toEqual(['new', 'old']);
  });

  it('pods of an earlier release tell no attempt: theirs count until one is told', () => {
    const known = reports();
    deliver(known, { publisher: 'old', sequence: 1, event: result('untold'), at: 1 });
    expect(known.resultOf('u', 'assemble', 1)).toBe('untold');
    for (const sent of second) deliver(known, sent);
    deliver(known, { publisher: 'old', sequence: 2, event: result('untold'), at: 9 });
    expect(known.resultOf('u', 'assemble', 2)).toBe('second');
  });
});

describe('what a tenant may say of its own run is bounded', () => {
  it('a result of a stage that the kind has not is none', () => {
    const known = reports();
    for (const stage of ['tune', 'probe: fetch', '__proto__', 'toString', 'x'])
      deliver(known, { publisher: 'a', sequence: 1, event: { type: 'result', stage, result: {} }, at: 1 });
    for (const stage of ['tune', 'probe: fetch', '__proto__', 'toString', 'x'])
      expect(known.resultOf('u', stage)).toBeUndefined();
  });

  it('each message is told by its sort, and whether there is a result without its being made again', () => {
    const known = reports();
    const heard: string[] = [];
    known.onReport((_, sort) => heard.push(sort));
    deliver(known, { publisher: 'a', sequence: 1, event: progress('probe', 5), at: 1, attempt: 2 });
    expect(known.hasResult('u', 'probe', 2)).toBe(false);
    const result = { type: 'result', stage: 'probe', result: { a: 1 } } as const;
    deliver(known, { publisher: 'a', sequence: 2, event: result, at: 2, attempt: 2 });
    deliver(known, { publisher: 'a', sequence: 3, event: warning('w'), at: 3, attempt: 2 });
    expect(heard).toEqual(['progress', 'result', 'warning']);
    const parse = vi.spyOn(JSON, 'parse');
    expect([1, 2].map((attempt) => known.hasResult('u', 'probe', attempt))).toEqual([false, true]);
    expect(parse).not.toHaveBeenCalled();
    parse.mockRestore();
  });

  it('what is kept of all runs together is bounded: those that were silent for longest are forgotten', () => {
    const known = new Reports({ url: 'nats://127.0.0.1:1' }, 5 * 2 ** 20);
    let at = 0;
    const give = (uid: string, event: StageEvent, index = 0) =>
      known.accept({
        ...{ order: ++at, time: new Date(0) },
        message: { ...run, uid, publisher: 'a', sequence: at, event, shard: { index, count: 1024 } },
      });
    // Some 165 kB each.
    for (let r = 0; r < 50; r++) for (let i = 0; i < 1024; i++) give(`u${r}`, progress('probe', 50), i);
    give('u0', { type: 'result', stage: 'probe', result: 1 });
    const kept = Array.from({ length: 50 }, (_, r) => r).filter((r) => known.progressOf(`u${r}`));
    expect(kept.at(-1)).toBe(49);
    expect(kept.length).toBeGreaterThan(25);
    expect(kept.length).toBeLessThan(33);
    expect(kept).toEqual(kept.map((_, i) => 50 - kept.length + i));
    // What was forgotten begins anew; what is heard now is kept.
    expect([known.hasResult('u0', 'probe'), known.progressOf('u0')]).toEqual([true, undefined]);
  });

  it('a warning is cut to what an event can tell', () => {
    const known = reports();
    deliver(known, { publisher: 'a', sequence: 1, event: warning('w'.repeat(32_768)), at: 1 });
    expect(known.warningsOf('u')[0]?.message).toHaveLength(1024);
  });

  it('of many stages the latest few are remembered', () => {
    const known = reports();
    for (let i = 1; i <= 1000; i++)
      deliver(known, { publisher: 'a', sequence: i, event: progress(`stage ${i}`, 5), at: i });
    expect(known.progressOf('u')?.stage).toBe('stage 1000');
  });
});

test('results within their room: who was silent for longest loses his, and what is forgotten makes room', () => {
  const results = new Results(100);
  const filled = (character: string) => ({ result: character.repeat(38), order: 1 });
  results.set('a', 'probe', filled('a'));
  results.set('b', 'probe', filled('b'));
  results.set('a', 'assemble', { result: 'x', order: 2 });
  results.set('c', 'probe', filled('c'));
  expect(['a', 'b', 'c'].map((uid) => results.orderOf(uid, 'probe'))).toEqual([1, 0, 1]);
  results.forget('a');
  results.set('d', 'probe', filled('d'));
  expect(['a', 'c', 'd'].map((uid) => results.orderOf(uid, 'probe'))).toEqual([0, 1, 1]);
  results.set('e', 'probe', { result: 'e'.repeat(101), order: 1 });
  expect(results.get('e', 'probe')).toBeUndefined();
});

test('messages out of bounds are nobody’s', () => {
  const message = { publisher: 'p', sequence: 1, ...run, event: progress('probe', 5) };
  const subject = 'offsite.v1.data.EmulatorBuild.words.u.progress';
  const decoded = (changes: object) =>
    decodeMessage(new TextEncoder().encode(JSON.stringify({ ...message, ...changes })), subject);
  expect(decoded({})).toBeDefined();
  expect(decoded({ shard: { index: 2, count: 3 } })).toBeDefined();
  for (const shard of [
    { index: 3, count: 3 },
    { index: -1, count: 3 },
    { index: 0, count: 1e6 },
    { index: 0.5, count: 3 },
  ])
    expect(decoded({ shard })).toBeUndefined();
  expect(decoded({ publisher: 'p'.repeat(65) })).toBeUndefined();
  expect(decoded({ event: progress('a\u001b[2Jb', 5) })).toBeUndefined();
});

test('a result that nests without end is nobody’s', () => {
  const about = JSON.stringify({ publisher: 'p', sequence: 1, ...run });
  const nested = (levels: number) =>
    decodeMessage(
      new TextEncoder().encode(
        `${about.slice(0, -1)},"event":{"type":"result","stage":"probe","result":${'['.repeat(levels)}${']'.repeat(levels)}}}`,
      ),
      'offsite.v1.data.EmulatorBuild.words.u.result',
    );
  expect(nested(16)).toBeDefined();
  for (const levels of [18, 5000, 100_000]) expect(nested(levels)).toBeUndefined();
});

test('a result is kept as the JSON that is counted, not as the objects that were handed over, which take much more', () => {
  const results = new Results();
  const result = { list: Array.from({ length: 10_000 }, () => ({})) };
  results.set('a', 'tune', { result, order: 1 });
  const read = results.get('a', 'tune');
  expect(read).toEqual(result);
  expect(read).not.toBe(result);
  expect(results.get('a', 'tune')).not.toBe(read);
});

it('a run’s long warnings and many shards are not kept whole: some hundred kilobytes stay of them', () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const known = reports();
  collect();
  const before = process.memoryUsage().heapUsed;
  let at = 0;
  for (let i = 0; i < 20; i++)
    for (let run = 0; run < 10; run++)
      known.accept({
        message: {
          ...{ namespace: 'data', kind: 'EmulatorBuild', name: 'words', uid: `u${run}` },
          ...{ publisher: 'a', sequence: i + 1, event: warning(`${i} `.padEnd(32_768, String(run))) },
        },
        order: ++at,
        time: new Date(0),
      });
  for (let stage = 0; stage < 8; stage++)
    for (let index = 0; index < 1024; index++)
      deliver(known, {
        ...{ publisher: 'a', sequence: ++at, at },
        ...{ event: progress(`probe: ${stage}`, 50), shard: { index, count: 1024 } },
      });
  collect();
  // Before: 6.5 MB of warnings, and 8,192 shares.
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(4_000_000);
  expect(known.warningsOf('u3')).toHaveLength(20);
  expect(known.warningsOf('u3')[7]?.message).toBe('7 '.padEnd(1024, '3'));
  expect(known.progressOf('u')?.progressPercentage).toBe(50);
});

it('what is no news leaves nothing of its run, which nobody would forget when its resource is gone', () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const known = reports();
  const event: StageEvent = { type: 'result', stage: 'no stage', result: {} };
  collect();
  const before = process.memoryUsage().heapUsed;
  for (let i = 0; i < 20_000; i++)
    known.accept({
      message: { ...run, uid: `u${i}`, publisher: 'a', sequence: 1, event },
      order: i + 1,
      time: new Date(0),
    });
  collect();
  // Before: some 8 MB.
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(1_000_000);
  expect(known.resultOf('u1', 'no stage')).toBeUndefined();
});
