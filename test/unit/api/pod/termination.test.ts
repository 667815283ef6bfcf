import fc from 'fast-check';
import { expect, test } from 'vitest';
import { writeTermination } from '../../../../src/api/index.ts';

const digest = `sha256:${'a'.repeat(64)}`;
const artifact = { uri: 'pvc://artifacts/words', digest, sizeBytes: 123 };

test('a small result is there whole', () => {
  const training = { steps: 120, lastLoss: '1.2345' };
  expect(JSON.parse(writeTermination('tune', { ok: true, status: { artifact, training } }))).toEqual({
    ok: true,
    stage: 'tune',
    artifact,
    summary: { training },
  });
});

test('a model of 1,024 layers: the message is short, with artifact and scores, without the largest fields', () => {
  const layers = Array.from({ length: 1024 }, (_, i) => i);
  const status = {
    similarity: { adjacent: layers.map((i) => (i / 1024).toFixed(6)) },
    plan: { clusters: layers.map((i) => [i]), kept: layers, transferLayers: layers, source: layers },
    scores: { metric: 'acc', cpl: '0.9' },
    artifact,
  };
  const message = writeTermination('assemble', { ok: true, status });
  expect(Buffer.byteLength(message)).toBeLessThan(1201);
  expect(JSON.parse(message)).toEqual({
    ok: true,
    stage: 'assemble',
    artifact,
    summary: { scores: status.scores },
  });
});

test('the digest comes before all that may be cut off; an address of escapes alone gives way to it', () => {
  const message = (uri: string) =>
    writeTermination('tune', { ok: true, status: { artifact: { ...artifact, uri } } });
  expect(message(artifact.uri).slice(0, 110)).toContain(digest);
  expect(JSON.parse(message(`pvc://a/${'x'.repeat(1000)}`))).toMatchObject({ artifact: { digest } });
  const long = message(`pvc://a/${'\u0001'.repeat(1000)}`);
  expect(Buffer.byteLength(long)).toBeLessThan(4096);
  expect(JSON.parse(long)).toEqual({ ok: true, stage: 'tune', artifact: { digest, sizeBytes: 123 } });
});

test('any failure fits, whatever its message is made of, and short ones are not cut', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 6000 }), fc.nat(12_000), (text, more) => {
      const failure = { reason: 'BadData' as const, message: text + '"\n'.repeat(more), exitCode: 11 };
      const told = writeTermination('tune', { ok: false, ...failure, status: {} });
      expect(Buffer.byteLength(told)).toBeLessThan(1201);
      const { message } = JSON.parse(told) as { message: string };
      if (failure.message.length < 500) expect(message).toBe(failure.message);
      else expect(failure.message.startsWith(message.replace(/…$/, ''))).toBe(true);
    }),
  );
});
