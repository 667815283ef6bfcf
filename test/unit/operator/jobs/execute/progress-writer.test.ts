import { afterEach, expect, it, vi } from 'vitest';
import { ProgressWriter, typeOf } from '../../../../../operator/jobs/index.ts';
import { ApiError, type KubeObject } from '../../../../../operator/runtime/index.ts';

afterEach(() => void vi.useRealTimers());

function setUp(options: { perSecond?: number; fail?: ApiError } = {}) {
  vi.useFakeTimers();
  const writes: { at: number; name: string; progress: unknown }[] = [];
  const tries: number[] = [];
  const progress = new Map<string, { progressPercentage: number }>();
  const writer = new ProgressWriter({
    client: {
      applyStatus: async (_: unknown, { metadata, ...body }: KubeObject) => {
        tries.push(performance.now());
        if (options.fail) throw options.fail;
        const { progress: written } = body['status'] as { progress?: { progressPercentage: number } };
        writes.push({ at: performance.now(), name: metadata.name, progress: written?.progressPercentage });
        return { metadata, ...body } as never;
      },
    },
    reports: { progressOf: (uid) => progress.get(uid) },
    typeOf,
    attemptOf: ({ name }) => (name === 'gone' ? undefined : 1),
    log: { debug() {}, info() {}, warn() {}, error() {} },
    ...options,
  });
  const ending = new AbortController();
  const running = writer.run(ending.signal);
  const subject = (name: string) => ({ namespace: 'team', kind: 'OffsiteTune', name, uid: `uid-${name}` });
  const report = (name: string, progressPercentage: number) => {
    progress.set(`uid-${name}`, { progressPercentage });
    writer.mark(subject(name));
  };
  const end = async () => {
    ending.abort();
    await vi.advanceTimersByTimeAsync(1000);
    await running;
  };
  return { writes, tries, writer, report, subject, end };
}

it('writes the first report at once, then the latest every two seconds', async () => {
  const { writes, report, end } = setUp();
  for (let percentage = 1; percentage <= 50; percentage++) {
    report('words', percentage);
    await vi.advanceTimersByTimeAsync(100);
  }
  await vi.advanceTimersByTimeAsync(2000);
  expect(writes.map(({ progress }) => progress)).toEqual([1, 20, 40, 50]);
  const gaps = writes.slice(1).map(({ at }, i) => at - (writes[i]?.at ?? 0));
  expect(Math.min(...gaps)).toBeGreaterThanOrEqual(2000);
  await end();
});

it('writes twenty a second over all resources', async () => {
  const { writes, report, end } = setUp();
  for (let i = 0; i < 200; i++) report(`words-${i}`, 1);
  await vi.advanceTimersByTimeAsync(1);
  expect(writes).toHaveLength(20);
  await vi.advanceTimersByTimeAsync(4000);
  expect(writes.length).toBeGreaterThanOrEqual(99);
  expect(writes.length).toBeLessThanOrEqual(101);
  await end();
});

it('takes progress away when another attempt begins', async () => {
  const { writes, writer, report, subject, end } = setUp();
  report('words', 80);
  await vi.advanceTimersByTimeAsync(10);
  writer.clear(subject('words'));
  await vi.advanceTimersByTimeAsync(10);
  expect(writes.map(({ progress }) => progress)).toEqual([80, undefined]);
  await end();
});

it('ignores who is not there, and what is no progress', async () => {
  const { writes, report, end } = setUp();
  report('gone', 1);
  report('words', 101);
  await vi.advanceTimersByTimeAsync(10);
  expect(writes).toEqual([]);
  await end();
});

it('writes later what a server did not take, the newest of it, and takes away what it was to take away', async () => {
  const options: { fail?: ApiError } = {};
  const { writes, writer, report, subject, end } = setUp(options);
  options.fail = new ApiError('no', { status: 500, reason: 'InternalError' });
  report('words', 1);
  await vi.advanceTimersByTimeAsync(10);
  report('words', 2);
  await vi.advanceTimersByTimeAsync(5000);
  delete options.fail;
  await vi.advanceTimersByTimeAsync(5000);
  expect(writes.map(({ progress }) => progress)).toEqual([2]);
  options.fail = new ApiError('no', { status: 500, reason: 'InternalError' });
  writer.clear(subject('words'));
  await vi.advanceTimersByTimeAsync(10);
  delete options.fail;
  await vi.advanceTimersByTimeAsync(5000);
  expect(writes.map(({ progress }) => progress)).toEqual([2, undefined]);
  await end();
});

it.each([
  ['a right that is missing', 403, 'Forbidden'],
  ['a status that is wrong', 422, 'Invalid'],
])(
  'tries what is refused for good more and more seldom, and the newest of it at once where that is taken again: %s',
  async (_, status, reason) => {
    const options: { fail?: ApiError } = { fail: new ApiError('no', { status, reason }) };
    const { writes, tries, report, end } = setUp(options);
    for (let second = 0; second < 3600; second++) {
      report('words', second % 100);
      if (second % 100 === 0) report('refused, too', 1);
      await vi.advanceTimersByTimeAsync(1000);
    }
    // 2, 4, 8, ... s, then every 5 minutes, of each of the two; 1,800 before.
    expect(tries.length).toBeLessThanOrEqual(2 * 25);
    const late = tries.slice(-2).map((at) => tries.at(-1)! - at);
    expect(Math.max(...late)).toBeLessThanOrEqual(300_000);
    delete options.fail;
    await vi.advanceTimersByTimeAsync(300_000);
    expect(writes.filter(({ name }) => name === 'words').map(({ progress }) => progress)).toEqual([99]);
    report('words', 7);
    await vi.advanceTimersByTimeAsync(2000);
    expect(writes.at(-1)?.progress).toBe(7);
    await end();
  },
);

it('takes progress away as late as it may write where it was refused', async () => {
  const options: { fail?: ApiError } = { fail: new ApiError('no', { status: 403, reason: 'Forbidden' }) };
  const { tries, writer, report, subject, end } = setUp(options);
  report('words', 1);
  await vi.advanceTimersByTimeAsync(10_000);
  const { length } = tries;
  for (let i = 0; i < 50; i++) {
    writer.clear(subject('words'));
    await vi.advanceTimersByTimeAsync(10);
  }
  expect(tries.length).toBeLessThanOrEqual(length + 1);
  await end();
});

it('survives a server that does not take it', async () => {
  const fail = new ApiError('no', { status: 500, reason: 'InternalError' });
  const { report, end } = setUp({ fail });
  report('words', 1);
  await vi.advanceTimersByTimeAsync(10);
  report('words', 2);
  await vi.advanceTimersByTimeAsync(3000);
  await end();
});
