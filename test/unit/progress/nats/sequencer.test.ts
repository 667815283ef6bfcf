import { describe, expect, it } from 'vitest';
import type { EventMessage } from '../../../../src/progress/nats/message.ts';
import { Sequencer } from '../../../../src/progress/nats/sequencer.ts';

const patience = 300;

function at() {
  const clock = { now: 0 };
  return { clock, sequencer: new Sequencer(patience, () => clock.now) };
}

const told = (publisher: string, sequence: number): EventMessage => ({
  publisher,
  sequence,
  namespace: 'team',
  kind: 'OffsiteTune',
  name: 'words',
  uid: 'u',
  event: { type: 'warning', reason: 'A', message: 'b' },
});

const placesOf = (messages: readonly EventMessage[]) =>
  messages.map(({ publisher, sequence }) => `${publisher}${sequence}`);

describe('messages of a publisher', () => {
  it('come in order and once', () => {
    const { sequencer } = at();
    expect(placesOf(sequencer.accept(told('a', 1)))).toEqual(['a1']);
    expect(sequencer.accept(told('a', 3))).toEqual([]);
    expect(sequencer.accept(told('a', 3))).toEqual([]);
    expect(placesOf(sequencer.accept(told('a', 2)))).toEqual(['a2', 'a3']);
    expect(sequencer.accept(told('a', 2))).toEqual([]);
    expect(sequencer.due).toBeUndefined();
  });

  it('wait for a missing one as long as the first of them has patience, whatever others say meanwhile', () => {
    const { clock, sequencer } = at();
    sequencer.accept(told('a', 5));
    expect(sequencer.due).toBe(300);
    clock.now = 299;
    sequencer.accept(told('a', 7));
    sequencer.accept(told('b', 2));
    expect(sequencer.release()).toEqual([]);
    clock.now = 300;
    expect(placesOf(sequencer.release())).toEqual(['a5', 'a7']);
    expect(sequencer.due).toBe(599);
    expect(placesOf(sequencer.releaseAll())).toEqual(['b2']);
    expect(sequencer.due).toBeUndefined();
  });
});

describe('a run', () => {
  it.each([{ namespace: 'lab' }, { kind: 'PlugIn' }, { name: 'other' }, { uid: 'v' }])(
    'that names itself as the publisher of another takes nothing of what that one tells, and keeps back none: %j',
    (other) => {
      const { sequencer } = at();
      expect(placesOf(sequencer.accept(told('a', 1)))).toEqual(['a1']);
      expect(sequencer.accept({ ...told('a', 1_000_000_000), ...other })).toEqual([]);
      sequencer.releaseAll();
      expect(sequencer.accept({ ...told('a', 3), ...other })).toEqual([]);
      expect(placesOf(sequencer.accept(told('a', 2)))).toEqual(['a2']);
      expect(placesOf(sequencer.accept(told('a', 3)))).toEqual(['a3']);
    },
  );
});

describe('a flood', () => {
  it('of 50,000 publishers’ names takes a moment, not a minute, and is not kept', () => {
    const { sequencer } = at();
    const start = performance.now();
    let passed = 0;
    let waiting = 0;
    for (let i = 0; i < 50_000; i++) {
      if (sequencer.due !== undefined) waiting += 1;
      passed += sequencer.accept(told(`p${i}`, 1)).length;
    }
    expect([passed, waiting]).toEqual([50_000, 0]);
    expect(performance.now() - start).toBeLessThan(10_000);
    // The first is forgotten: it is nobody that was heard before, and the last is.
    expect(placesOf(sequencer.accept(told('p0', 1)))).toEqual(['p01']);
    expect(sequencer.accept(told('p49999', 1))).toEqual([]);
  });

  it('with a gap each is held up to a bound, loses none, and leaves who was heard of late in order', () => {
    const { sequencer } = at();
    let passed = 0;
    for (let i = 0; i < 5000; i++) {
      passed += sequencer.accept(told(`p${i}`, 2)).length;
      passed += sequencer.accept(told('honest', i + 1)).length;
    }
    expect(passed).toBe(10_000 - 1024);
    expect(sequencer.releaseAll()).toHaveLength(1024);
    expect(sequencer.accept(told('honest', 7))).toEqual([]);
  });

  it('of one publisher’s messages after a gap is held up to a bound', () => {
    const { sequencer } = at();
    for (let i = 2; i <= 65; i++) expect(sequencer.accept(told('a', i))).toEqual([]);
    expect(sequencer.accept(told('a', 66))).toHaveLength(65);
  });
});
