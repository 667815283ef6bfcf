/** What a tokenizer has answered is counted before it could take the heap. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';

test.each([
  [
    'rows of a part',
    190,
    5280,
    /^rows\.jsonl: this stage's rows take more than the 53477376 bytes that it has for tokens; give fewer rows/,
  ],
  [
    'one row',
    1,
    400_000,
    'rows.jsonl: row 1: it has more than 131072 tokens in all; shorten the row or leave choices out',
  ],
])('counts the tokens of %s before they take the heap', async (_, rows, letters, expected) => {
  const data = new URL('../../../src/data/index.ts', import.meta.url);
  // Three tokens a letter; a heap that has room for 52 such rows, of 195.
  const program = `import(${JSON.stringify(data)}).then(async ({ tokenize }) => {
    let last;
    const running = {
      eos: 2, prefix: 1, chat: false, close() {},
      encode: async ({ length }) => {
        await (last = Promise.resolve(last).then(() => new Promise(setImmediate)));
        return { ids: new Int32Array(3 * length).fill(length), leading: 0, trailing: 0, offsets: new Int32Array() };
      },
    };
    const choices = Array.from({ length: 8 }, () => 'a'.repeat(${letters}));
    const rows = Array.from({ length: ${rows} }, () => ({ prompt: '', choices, answer: 0 }));
    const options = { mode: 'score', file: 'rows.jsonl', maxLength: 131_072 };
    const { message } = await tokenize(rows, 'openbookqa', { start: async () => running }, options).catch((error) => error);
    require('node:worker_threads').parentPort.postMessage(message);
  })`;
  const resourceLimits = { maxOldGenerationSizeMb: 128, maxYoungGenerationSizeMb: 16 };
  const [message] = (await once(new Worker(program, { eval: true, resourceLimits }), 'message')) as [string];
  expect(message).toMatch(expected);
});
