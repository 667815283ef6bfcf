import { expect, test } from 'vitest';
import { decodeMessage } from '../../../../src/progress/nats/message.ts';

const subject = 'offsite.v1.data.OffsiteTune.words.u-1.result';
const told = (result: unknown) =>
  Buffer.from(
    JSON.stringify({
      ...{ publisher: 'p', sequence: 1, namespace: 'data', kind: 'OffsiteTune', name: 'words', uid: 'u-1' },
      event: { type: 'result', stage: 'tune', result },
    }),
  );
const layers = (count: number) => ({ layers: Array.from({ length: count }, (_, i) => `0.${i}`) });

test('a result with figures of as many layers as a status may have is heard', () => {
  const result = { adjacent: layers(1024), clusters: layers(1024), kept: layers(1024) };
  expect(decodeMessage(told(result), subject)?.event).toMatchObject({ result });
});

test.each([
  ['of more values than any status', layers(20_000)],
  ['of one text that no stream of ours takes', 'x'.repeat(2 ** 20)],
  ['that nests without end', JSON.parse('['.repeat(60) + ']'.repeat(60))],
])('a result %s is nobody’s', (_, result) => {
  expect(decodeMessage(told(result), subject)).toBeUndefined();
});
