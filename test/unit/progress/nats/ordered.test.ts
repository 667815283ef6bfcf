import { setImmediate as nextTurn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it } from 'vitest';
import { subjectOf } from '../../../../src/progress/nats/message.ts';
import { ordered } from '../../../../src/progress/nats/ordered.ts';

const whose = { namespace: 'team', kind: 'OffsiteTune', name: 'words', uid: 'u' };
const subject = subjectOf({ ...whose, event: 'warning' });

function told(publisher: string, sequence: number) {
  const event = { type: 'warning', reason: 'A', message: 'b' };
  return { subject, data: Buffer.from(JSON.stringify({ publisher, sequence, ...whose, event })) };
}

it('a flood of one publisher’s messages keeps back nobody’s that waits for a missing one', async () => {
  const ending = new AbortController();
  let floods = 0;
  async function* source() {
    yield told('late', 57);
    for (; !ending.signal.aborted; floods++) {
      if (floods % 100 === 0) await nextTurn();
      yield told('flood', floods + 1);
    }
  }
  for await (const { publisher, sequence } of ordered(source(), 20, ending.signal)) {
    if (publisher === 'late') {
      expect(sequence).toBe(57);
      ending.abort();
    }
    // Before, never: the patience began anew with each message.
    expect(floods).toBeLessThan(200_000);
  }
  expect(ending.signal.aborted).toBe(true);
});

it('what is held is told after its patience where nothing comes, and at the end', async () => {
  const ending = new AbortController();
  const silence = Promise.withResolvers<never>();
  async function* source() {
    yield told('a', 2);
    yield Promise.resolve({ subject, data: Buffer.from('no JSON') });
    await silence.promise;
  }
  const messages = ordered(source(), 5, ending.signal);
  expect((await messages.next()).value?.sequence).toBe(2);
  const last = messages.next();
  ending.abort();
  expect(await last).toEqual({ done: true, value: undefined });

  async function* short() {
    yield told('a', 4);
    yield told('a', 3);
  }
  const all: number[] = [];
  for await (const { sequence } of ordered(short(), 60_000, new AbortController().signal)) all.push(sequence);
  expect(all).toEqual([3, 4]);
});

it('no message is kept once it was told, however long one watches', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  let kept = Number.POSITIVE_INFINITY;
  async function* source() {
    const all: WeakRef<Buffer>[] = [];
    for (let i = 1; i <= 200; i++) {
      const message = told('a', i);
      all.push(new WeakRef(message.data));
      yield message;
    }
    await nextTurn();
    collect();
    kept = all.filter((bytes) => bytes.deref() !== undefined).length;
  }
  let heard = 0;
  for await (const _ of ordered(source(), 60_000, new AbortController().signal)) heard += 1;
  expect(heard).toBe(200);
  expect(kept).toBeLessThan(10);
});
