import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Because, WorkQueue } from '../../../../../operator/runtime/index.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe('a work queue', () => {
  it('gives keys in the order they came, each once', async () => {
    const queue = new WorkQueue();
    for (const key of ['a', 'b', 'a', 'c', 'b']) queue.add(key);
    expect([await queue.take(), await queue.take(), await queue.take()]).toEqual(['a', 'b', 'c']);
    expect(queue.length).toBe(0);
  });

  it('gives listed keys after those that have changed, and one that changes meanwhile with these', async () => {
    const queue = new WorkQueue();
    for (const key of ['a', 'b', 'c', 'd']) queue.add(key, 'listed');
    for (const key of ['x', 'c', 'x', 'd']) queue.add(key);
    queue.add('x', 'listed');
    queue.add('c', 'listed');
    expect(queue.length).toBe(5);
    const taken: (string | undefined)[] = [];
    for (let i = 0; i < 5; i++) taken.push(await queue.take());
    expect(taken).toEqual(['x', 'c', 'd', 'a', 'b']);
  });

  it.each([
    ['listed', ['b', 'a']],
    ['changed', ['a', 'b']],
  ] as const)('gives a key again as what it came as while it was in work: %s', async (because, order) => {
    const queue = new WorkQueue();
    queue.add('a', 'listed');
    expect(await queue.take()).toBe('a');
    queue.add('a', 'listed');
    queue.add('a', because);
    queue.add('a', 'listed');
    queue.done('a');
    queue.add('b');
    expect([await queue.take(), await queue.take()]).toEqual(order);
  });

  it('takes a listed key now and then, however much changes', async () => {
    const queue = new WorkQueue();
    for (let i = 0; i < 10; i++) queue.add(`listed-${i}`, 'listed');
    const taken: string[] = [];
    for (let i = 0; i < 80; i++) {
      queue.add(`changed-${i}`);
      queue.add(`changed-too-${i}`);
      taken.push((await queue.take())!);
    }
    expect(taken.filter((key) => key.startsWith('listed'))).toHaveLength(10);
    expect(taken.slice(0, 9)).toContain('listed-0');
  });

  it('gives a key that came while it was in work again, once, and only when that is done', async () => {
    const queue = new WorkQueue();
    queue.add('a');
    await queue.take();
    queue.add('a');
    queue.add('a');
    const next = vi.fn();
    void queue.take().then(next);
    await vi.advanceTimersByTimeAsync(1000);
    expect(next).not.toHaveBeenCalled();
    queue.done('a');
    await vi.advanceTimersByTimeAsync(0);
    expect(next).toHaveBeenCalledWith('a');
    queue.done('a');
    expect(queue.length + queue.inWork).toBe(0);
  });

  it('adds after the earliest of several times', async () => {
    const queue = new WorkQueue();
    queue.addAfter('a', 500);
    queue.addAfter('a', 100);
    queue.addAfter('a', 300);
    await vi.advanceTimersByTimeAsync(99);
    expect(queue.length).toBe(0);
    await vi.advanceTimersByTimeAsync(1);
    expect(queue.length).toBe(1);
    await queue.take();
    queue.done('a');
    await vi.advanceTimersByTimeAsync(1000);
    expect(queue.length).toBe(0);
  });

  it('adds at once for no time, and cuts times that no timer can count', async () => {
    const queue = new WorkQueue();
    queue.addAfter('now', 0);
    queue.addAfter('far', Number.MAX_SAFE_INTEGER);
    expect(queue.length).toBe(1);
    await vi.advanceTimersByTimeAsync(23 * 3600 * 1000);
    expect(queue.length).toBe(1);
    await vi.advanceTimersByTimeAsync(3600 * 1000);
    expect(queue.length).toBe(2);
  });

  it('gives nothing more once closed, leaves no timer, and lets work end', async () => {
    const queue = new WorkQueue();
    queue.add('a');
    await queue.take();
    const waiting = queue.take();
    queue.add('a');
    queue.addAfter('b', 100);
    queue.close();
    expect(await waiting).toBeUndefined();
    queue.done('a');
    queue.add('c');
    expect(await queue.take()).toBeUndefined();
    expect(vi.getTimerCount()).toBe(0);
    expect(queue.length + queue.inWork).toBe(0);
  });

  it('tells how long keys waited', async () => {
    const waited: number[] = [];
    const queue = new WorkQueue((milliseconds) => waited.push(milliseconds));
    queue.add('a');
    await vi.advanceTimersByTimeAsync(250);
    await queue.take();
    expect(waited).toEqual([250]);
  });

  it('in any interleaving: one flight a key, and after every add the key is taken once more', async () => {
    const key = fc.constantFrom('a', 'b', 'c');
    const step = fc.oneof(
      {
        weight: 4,
        arbitrary: fc.tuple(fc.constant('add'), key, fc.constantFrom<Because>('changed', 'listed')),
      },
      { weight: 2, arbitrary: fc.tuple(fc.constant('addAfter'), key, fc.integer({ min: 1, max: 50 })) },
      { weight: 3, arbitrary: fc.tuple(fc.constant('take')) },
      { weight: 3, arbitrary: fc.tuple(fc.constant('done'), fc.nat(5)) },
      { weight: 2, arbitrary: fc.tuple(fc.constant('wait'), fc.integer({ min: 1, max: 60 })) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const queue = new WorkQueue();
        const inWork: string[] = [];
        /** Keys whose last add was not yet followed by a take. */
        const owed = new Set<string>();
        const later = new Map<string, { due: number; timer: NodeJS.Timeout }>();
        const owe = (key: string, milliseconds: number) => {
          const due = performance.now() + milliseconds;
          if ((later.get(key)?.due ?? Number.POSITIVE_INFINITY) <= due) return;
          clearTimeout(later.get(key)?.timer);
          const timer = setTimeout(() => later.delete(key) && owed.add(key), milliseconds);
          later.set(key, { due, timer });
        };
        let takers = 0;
        const take = async () => {
          takers += 1;
          const taken = await queue.take();
          takers -= 1;
          if (taken === undefined) return;
          expect(inWork).not.toContain(taken);
          expect(owed).toContain(taken);
          owed.delete(taken);
          inWork.push(taken);
        };
        for (const [name, a, b] of steps as [string, never, never][]) {
          if (name === 'add') {
            owed.add(a);
            queue.add(a, b);
          } else if (name === 'addAfter') {
            owe(a, b);
            queue.addAfter(a, b);
          } else if (name === 'take') void take();
          else if (name === 'done' && inWork.length > 0) {
            queue.done(inWork.splice((a as number) % inWork.length, 1)[0]!);
          } else if (name === 'wait') await vi.advanceTimersByTimeAsync(a);
          await vi.advanceTimersByTimeAsync(0);
        }
        await vi.advanceTimersByTimeAsync(100);
        while (inWork.length > 0) queue.done(inWork.pop()!);
        await vi.advanceTimersByTimeAsync(0);
        while (owed.size > 0 || inWork.length > 0) {
          if (takers === 0) void take();
          await vi.advanceTimersByTimeAsync(0);
          expect(inWork.length).toBeGreaterThan(0);
          while (inWork.length > 0) queue.done(inWork.pop()!);
        }
        expect(queue.length + queue.inWork).toBe(0);
        queue.close();
      }),
      { numRuns: 200 },
    );
  });
});
