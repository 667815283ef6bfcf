/** The kubelet cuts what the containers of a pod leave behind to 12 KiB in all: what is left of a message is read. */
import fc from 'fast-check';
import { expect, it, test } from 'vitest';
import { terminationOf } from '../../../../../operator/jobs/pods/termination.ts';
import { failureReasons, writeTermination } from '../../../../../src/api/index.ts';
import {
  artifact,
  completed,
  digestOf,
  ended,
  pod,
  resource,
  World,
} from '../../../../support/unit/operator/fixtures.ts';

const job = resource('OffsiteTune');
const read = (message: string) => terminationOf(ended(pod(job), { exitCode: 0, message }));
const made = artifact('a', 'pvc://artifacts/words-adapter');
const training = { steps: 120, lastLoss: '1.2345', tokens: 9 };
const cell = { value: '0.5', stderr: '0.1' };
const validation = {
  metric: 'a "}," in a string',
  samples: 8,
  cells: { emulatorZeroShot: cell, emulatorFineTuned: cell },
};
const whole = writeTermination('tune', { ok: true, status: { artifact: made, training, validation } });

test('whatever is cut off, what is read is of the message: each field is there as it was, or not at all', () => {
  fc.assert(
    fc.property(fc.nat(whole.length), (length) => {
      const said = read(whole.slice(0, length));
      if (said === undefined) return length < '{"ok":true,'.length;
      if (!said.ok) return false;
      const { artifact: cut = {}, summary = {} } = said;
      const fields = Object.entries({ ...summary, ...cut });
      const right: Record<string, unknown> = { training, validation, ...made };
      return fields.every(([name, value]) => JSON.stringify(value) === JSON.stringify(right[name]));
    }),
  );
  const withDigest = whole.slice(0, whole.indexOf(digestOf('a')) + 73);
  expect(read(withDigest)).toMatchObject({ ok: true, isCut: true, artifact: { digest: digestOf('a') } });
  expect(read(whole.slice(0, -1))).toEqual({
    ...{ ok: true, isCut: true },
    artifact: made,
    summary: { training, validation },
  });
});

test('of a failure the reason is left, and its message as far as it came', () => {
  const message = writeTermination('tune', {
    ok: false,
    ...{ reason: 'BadData', message: 'row 3:\n"answer" is missing', exitCode: 11, status: {} },
  });
  const at = (part: string) => read(message.slice(0, message.indexOf(part)));
  expect(at('missing')).toEqual({
    ok: false,
    reason: 'BadData',
    message: 'row 3:\n"answer" is …',
    isCut: true,
  });
  // Through the escape of the line's end.
  expect(at('n\\"answer')).toMatchObject({ message: 'row 3:…' });
  expect(at(',"stage"')).toMatchObject({ reason: 'BadData', message: '(its message was cut off)' });
});

test('what an older worker left, in its own order, is read as before', () => {
  const old = { ok: true, stage: 'tune', artifact: made, summary: { training } };
  expect(read(JSON.stringify(old))).toEqual({
    ok: true,
    artifact: made,
    summary: { training },
    isCut: false,
  });
  expect(read('{"ok":true,"stage":"tune","artifact":{"uri":"pvc://artifacts/o')).toEqual({
    ok: true,
    isCut: true,
  });
});

it.each(['nonsense', '', '{', '[[[[', '{"ok":true]', '"', '{"ok":tr'])(
  '%j is no word of a worker',
  (text) => {
    expect(read(text)).toBeUndefined();
  },
);

test('a message of 4,096 bytes of brackets costs nothing to speak of', () => {
  for (const text of ['{"a":'.repeat(819), '{"a":[{},'.repeat(455), '{"a":{"b":1,'.repeat(341)])
    expect(read(text)).toBeUndefined();
});

const tuned = (length: number) => {
  const world = new World(resource('OffsiteTune'));
  world.dependencies = { emulator: completed('EmulatorBuild', 'e') };
  world.run().podIs('tune', (own) => ended(own, { exitCode: 0, message: whole.slice(0, length) }));
  world.results = { tune: { artifact: made, training, validation } };
  return world.jobIs('tune', 'Complete');
};

it('a pod with many containers loses no result: what came by NATS agrees with what is left of its word', () => {
  // 12 KiB among 12, 64 and 200 containers; and nothing but that it went well.
  for (const length of [1024, 192, 61, 12])
    expect(tuned(length).run().status).toMatchObject({
      phase: 'Complete',
      attempt: 1,
      artifact: made,
      training,
    });
});

it('what came by NATS and is of another artifact is still no result', () => {
  const world = tuned(192);
  world.results = { tune: { artifact: artifact('9', made.uri), training } };
  expect(world.run().holding).toEqual(['Waiting/ResultPending']);
});

it('without NATS a word without its artifact makes nothing Complete', () => {
  const world = tuned(61);
  world.connected = undefined;
  world.results = {};
  expect(world.run().status).toMatchObject({ attempt: 2, phase: 'Pending' });
});

test('a failure has a reason of ours, whatever word a pod puts there', () => {
  const said = (reason: string) => read(JSON.stringify({ ok: false, reason, message: 'm' }));
  for (const reason of failureReasons) expect(said(reason)).toMatchObject({ reason });
  for (const reason of ['Complete', 'Suspended', 'ResultLost', 'Evicted', 'constructor', 'A'.repeat(60)])
    expect(said(reason)).toMatchObject({ ok: false, reason: 'PodFailed', message: 'm' });
  // What is no word is no message of a worker.
  for (const reason of ['', 'Bad Data', '\u001b[31m']) expect(said(reason)).toBeUndefined();
});
