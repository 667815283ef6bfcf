import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { answerLimits, boundedBody } from '../../../../src/artifact/stores/s3-answers.ts';

test.each([1, 7, 65_535, 65_536, 200_000])(
  'an answer in pieces of %d bytes is handed on whole, in pieces that are worth their memory',
  async (piece) => {
    const answer = Buffer.from('<Key>words</Key>'.repeat(12_000));
    const pieces = Array.from({ length: Math.ceil(answer.length / piece) }, (_, i) =>
      answer.subarray(i * piece, (i + 1) * piece),
    );
    const sizes: number[] = [];
    const body = boundedBody(Readable.from(pieces), answerLimits);
    body.on('data', ({ length }: Buffer) => sizes.push(length));
    expect(await buffer(body)).toEqual(answer);
    expect(sizes.length).toBeLessThan(5);
  },
);

test('one that is too long is broken off', async () => {
  const endless = function* () {
    for (;;) yield Buffer.from(' ');
  };
  await expect(
    buffer(boundedBody(Readable.from(endless()), { ...answerLimits, bytes: 1000 })),
  ).rejects.toThrow('its answer is too long');
});
