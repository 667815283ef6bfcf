import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { OffsiteError } from '../../../src/api/index.ts';
import { dataDigest, type Example, type Format, readRows, streamRows } from '../../../src/data/index.ts';
import { PackedRoom, RowRoom, TokenRoom } from '../../../src/data/row-room.ts';
import { costOf, millionsOf } from '../../support/hostile/index.ts';
import { onItsOwn } from '../../support/processes/heap.ts';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'rows-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

function file(content: string | Uint8Array): string {
  const path = join(directory, 'rows.jsonl');
  writeFileSync(path, content);
  return path;
}

/** The message of the BadData that reading must end in. */
async function problem(content: string | Uint8Array, format: Format): Promise<string> {
  const path = file(content);
  try {
    await readRows(path, format);
  } catch (error) {
    expect(error).toBeInstanceOf(OffsiteError);
    expect((error as OffsiteError).reason).toBe('BadData');
    const { message } = error as OffsiteError;
    expect(message.startsWith(`${path}: `)).toBe(true);
    return message.slice(path.length + 2);
  }
  throw new Error('the rows were read');
}

const question = (fields: object) =>
  JSON.stringify({ question: 'q', choices: ['a', 'b'], answer: 0, ...fields });

const pair = (fields: object) => JSON.stringify({ prompt: 'p', chosen: 'a', rejected: 'b', ...fields });

const rowOf = (columns: string, thing: string) => millionsOf(thing, `{${columns}:[`, ']}');
const oneRow = 'every line holds one JSON object, of one row';
const tooMany = `row 1: holds more than 1048576 values; ${oneRow}`;

describe('readRows', () => {
  test('reads what was written, also over the borders of its chunks', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.string({ unit: 'grapheme', minLength: 1 }).map((text) => `x${text}`),
          { minLength: 1 },
        ),
        fc.integer({ min: 1, max: 3 }),
        async (texts, repeat) => {
          const long = texts.map((text, i) => ({
            text: i === 0 ? text.repeat((repeat * 400_000) / text.length + 1) : text,
          }));
          const path = file(long.map((row) => JSON.stringify(row)).join('\n'));
          expect(await readRows(path, 'text')).toEqual(long);
        },
      ),
      { numRuns: 4 },
    );
  });

  test('reads rows of 16 MiB, and refuses one byte more, and 64 MB, by the number of the row', async () => {
    const first = `${JSON.stringify({ text: 'first' })}\n`;
    const row = (bytes: number) => `{"text":"${'a'.repeat(bytes - '{"text":""}'.length)}"}`;
    const path = file(`${first}${row(2 ** 24)}\n${row(2 ** 24)}`);
    const rows = await readRows(path, 'text');
    expect(rows.map(({ text }) => text.length)).toEqual([5, 2 ** 24 - 11, 2 ** 24 - 11]);

    const tooLong = /^row 2: has more than 16 MiB; every line holds one JSON object, of one row$/;
    for (const ending of ['', '\n', `\n${first}`])
      expect(await problem(`${first}${row(2 ** 24 + 1)}${ending}`, 'text')).toMatch(tooLong);
    expect(await problem(`${first}${row(64e6)}\n`, 'text')).toMatch(tooLong);
  });

  test('keeps the columns of the format only, and takes CRLF, a byte order mark and a last line without a feed', async () => {
    const path = file(`\ufeff${question({ context: 'c', id: 7 })}\r\n${question({ answer: 1 })}`);
    expect(await readRows(path, 'multipleChoice')).toEqual([
      { question: 'q', choices: ['a', 'b'], answer: 0, context: 'c' },
      { question: 'q', choices: ['a', 'b'], answer: 1 },
    ]);
  });

  test('takes pairs as they stand, with NUL and surrogates without their half', async () => {
    const row = { prompt: 'p\0', chosen: ' a\ud800', rejected: 'a ' };
    expect(await readRows(file(JSON.stringify({ ...row, id: 7 })), 'preference')).toEqual([row]);
  });

  test.each([
    ['what is always allowed', 0],
    ['the memory of the stage', 50_000],
  ])('bounds what tiny rows take by %s', (_, memory) => {
    const room = new RowRoom('tiny.jsonl', { memory, always: 100_000 });
    const row = { text: 'a' };
    expect(() => {
      for (let i = 0; i < 1000; i++) room.add(row);
    }).toThrow(
      /^tiny\.jsonl: its first 15[0-9] rows would take more than 100000 bytes of memory; give fewer rows/,
    );
    const larger = new RowRoom('tiny.jsonl', { memory: 400_000, always: 100_000 });
    for (let i = 0; i < 1000; i++) larger.add(row);
    const small = new RowRoom('tiny.jsonl', { memory: 400_000, always: 100_000, heap: 50_000 });
    expect(() => {
      for (let i = 0; i < 1000; i++) small.add(row);
    }).toThrow(/than 25000 bytes of memory; give fewer rows, or the process a larger heap/);
  });

  test('bounds them by what may stay in the heap of the thread that holds them', async () => {
    const room = new URL('../../../src/data/row-room.ts', import.meta.url);
    const program = `import(${JSON.stringify(room)}).then(({ RowRoom }) => {
      const room = new RowRoom('rows.jsonl');
      try { for (;;) room.add({ text: 'a' }); } catch ({ message }) {
        require('node:worker_threads').parentPort.postMessage(message);
      }
    })`;
    const resourceLimits = { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 48 };
    const [message] = (await once(new Worker(program, { eval: true, resourceLimits }), 'message')) as [
      string,
    ];
    expect(message).toContain(`more than ${32 * 2 ** 20} bytes of memory`);
  });

  test('counts two bytes for each letter of a text that has one beyond Latin-1, and what each choice takes', () => {
    const rowsIn = (row: object) => {
      const room = new RowRoom('wide.jsonl', { always: 1 << 20 });
      let rows = 0;
      expect(() => {
        for (; ; rows++) room.add(row);
      }).toThrow('wide.jsonl');
      return rows;
    };
    const text = 'a'.repeat(9_999);
    expect(rowsIn({ text: `${text}\u2019` }) / rowsIn({ text: `${text}a` })).toBeCloseTo(1 / 2, 1);
    expect(rowsIn({ choices: Array<string>(1000).fill('a') })).toBeLessThan(33);
  });

  test('bounds what the tokens of all sets take by the heap, and tells no number that a tokenizer made of rows', () => {
    const example = (count: number) => ({
      ...{ row: 0, branches: [], bytes: [] },
      trunk: Array<number>(count).fill(1),
    });
    const fill = (room: TokenRoom, count: number, rows: number) => {
      for (let i = 0; i < rows; i++) room.add('tiny.jsonl', example(count));
    };
    const message =
      /^tiny\.jsonl: this stage's rows take more than the 24000 bytes that it has for tokens; give fewer rows, .*; where they are few or short, look at the tokenizer$/;
    const full = expect.objectContaining({ reason: 'BadData', message: expect.stringMatching(message) });
    const room = new TokenRoom(64_000);
    fill(room, 6, 50);
    expect(() => fill(room, 6, 33)).not.toThrow();
    expect(() => fill(room, 6, 1)).toThrow(full);
    // What was held is let go of.
    room.empty();
    expect(() => fill(room, 6, 83)).not.toThrow();
    for (const tokens of [300, 299]) expect(() => fill(new TokenRoom(64_000), tokens, 20)).toThrow(full);
  });

  test('holds each of hidden rows against its own share, whatever the others take', () => {
    const example = (count: number) => ({
      ...{ row: 6, branches: [], bytes: [] },
      trunk: Array<number>(count).fill(1),
    });
    const room = new TokenRoom(64_000);
    // 24,000 bytes by two sets, of which each has ten rows: 1,200 each, of which 240 are the row's own.
    for (let i = 0; i < 20; i++) room.addHidden('tiny.jsonl: row 7', example(120), 10);
    expect(() => room.addHidden('tiny.jsonl: row 7', example(121), 10)).toThrow(
      expect.objectContaining({
        reason: 'BadData',
        message: expect.stringMatching(
          /^tiny\.jsonl: row 7: takes more than the 1200 bytes that each of 10 hidden rows has for tokens; lower maxLength, shorten the row, give fewer rows, /,
        ),
      }),
    );
    const packed = new PackedRoom();
    // 2 GiB by 2^20 rows, 32 bytes a token.
    const of = { rows: 2 ** 20, memory: 0 };
    const rows = (parts: number, tokens: number) =>
      Array.from({ length: 10 }, (_, i) =>
        i === 3 ? Array<Example>(parts).fill(example(tokens)) : [example(1)],
      );
    expect(() => packed.addHidden('tiny.jsonl', rows(2, 32), of)).not.toThrow();
    expect(() => packed.addHidden('tiny.jsonl', rows(2, 33), of)).toThrow(
      'tiny.jsonl: row 7: takes more than the 2048 bytes that each of 1048576 hidden rows has laid out for scoring',
    );
  });

  test.each(['short texts', 'long texts', 'many choices', 'conversations'])(
    'counts of %s what they take of the heap as tokens',
    async (kind) => {
      const module = new URL('../../support/unit/data/tokenised-heap.ts', import.meta.url);
      expect(await onItsOwn(module, kind)).toEqual({ tooLittle: true, enough: true });
    },
  );

  test('finds out that other rows stand where those were whose digest was taken', async () => {
    const path = file('{"text": "one"}\n{"text": "two"}\n');
    const digest = dataDigest(path, 'spec.data');
    expect(await readRows(path, 'text', { digest, limit: 1 })).toEqual([{ text: 'one' }]);
    writeFileSync(path, '{"text": "one"}\n{"text": "2"}\n');
    await expect(readRows(path, 'text', { digest, limit: 1 })).rejects.toMatchObject({
      reason: 'BadData',
      message: `${path}: was changed while it was read; nothing was made of it: run again`,
    });
  });

  test('stops at the limit, without looking at the rows behind it', async () => {
    const path = file('{"text": "one"}\n{"text": "two"}\nnonsense\n');
    expect(await readRows(path, 'text', { limit: 2 })).toEqual([{ text: 'one' }, { text: 'two' }]);
    expect((await streamRows(path, 'text').next()).value).toEqual({ text: 'one' });
  });

  test.each<[string, Buffer, Format, string]>([
    ['choices', rowOf('"question":"q","answer":0,"choices"', '0'), 'multipleChoice', tooMany],
    ['messages of numbers', rowOf('"messages"', '0'), 'chat', tooMany],
    ['messages of nothing', rowOf('"messages"', '{}'), 'chat', tooMany],
    ['answers', rowOf('"question":"q","answers"', '""'), 'webquestions', tooMany],
    ['what is in no column', rowOf('"text":"a","more"', '[]'), 'text', tooMany],
    ['levels', Buffer.from('{"text":'.repeat(1e6)), 'text', `row 1: nests more than 256 deep; ${oneRow}`],
    [
      'wrong messages, as many as the bounds let through',
      Buffer.from(`{"messages":[${'0,'.repeat(60_000)}0]}`),
      'chat',
      'row 1: column "messages", message 0: must hold role and content',
    ],
    [
      'choices, as many as the bounds let through',
      Buffer.from(`{"question":"q","answer":0,"choices":[${'0,'.repeat(1e6)}0]}`),
      'multipleChoice',
      'row 1: column "choices": has more than 65536 entries',
    ],
  ])('refuses a row of millions of %s within a second', async (_, row, format, expected) => {
    let refusal: string | undefined;
    const { seconds, mebibytes } = await costOf(async () => {
      refusal = await problem(row, format);
    });
    expect(refusal).toBe(expected);
    expect(seconds).toBeLessThan(1);
    expect(mebibytes).toBeLessThan(128);
  });

  test.each<[string, string | Uint8Array, Format, string]>([
    ['an empty file', '', 'text', 'the file is empty; it needs at least one row'],
    [
      'invalid JSON',
      '{"text": "a"}\n{"text": "secret',
      'text',
      'row 2: is not valid JSON; every line holds one JSON object',
    ],
    [
      'a blank line',
      '{"text": "a"}\n\n{"text": "b"}\n',
      'text',
      'row 2: is a blank line; every line holds one JSON object',
    ],
    ['what is no object', '["secret"]\n', 'text', 'row 1: must be a JSON object with "text"'],
    ['a missing column', '{"prompt": "secret"}\n', 'completion', 'row 1: column "completion": is missing'],
    ['a column of the wrong type', '{"text": 12345}\n', 'text', 'row 1: column "text": must be text'],
    ['an empty text', '{"text": " "}\n', 'text', 'row 1: column "text": is empty'],
    [
      'one choice',
      question({ choices: ['a'] }),
      'multipleChoice',
      'row 1: column "choices": needs at least 2 choices',
    ],
    [
      'an empty choice',
      question({ choices: ['a', ''] }),
      'multipleChoice',
      'row 1: column "choices", choice 1: is empty',
    ],
    [
      'an answer outside the choices',
      question({ choices: ['a', 'b', 'c', 'd'], answer: 4 }),
      'multipleChoice',
      'row 1: column "answer": answer 4 is outside the 4 choices (0 to 3)',
    ],
    [
      'a negative answer',
      question({ answer: -1 }),
      'multipleChoice',
      'row 1: column "answer": must be 0 or more',
    ],
    [
      'an answer in words',
      question({ answer: 'a' }),
      'multipleChoice',
      'row 1: column "answer": must be a whole number',
    ],
    [
      'a pair without a rejected answer',
      '{"prompt": "p", "chosen": "secret"}\n',
      'preference',
      'row 1: column "rejected": is missing',
    ],
    [
      'a pair of one answer twice',
      `${pair({})}\n${pair({ chosen: 'secret', rejected: 'secret' })}`,
      'preference',
      'row 2: column "rejected": is the same as column "chosen"; a pair has two answers',
    ],
    ['an empty answer', pair({ chosen: '' }), 'preference', 'row 1: column "chosen": is empty'],
    ['an answer of blanks', pair({ rejected: ' \n' }), 'preference', 'row 1: column "rejected": is empty'],
    ['a pair without a prompt', pair({ prompt: '' }), 'preference', 'row 1: column "prompt": is empty'],
    [
      'answers that are lists of messages',
      pair({ chosen: [{ role: 'assistant', content: 'secret' }] }),
      'preference',
      'row 1: column "chosen": must be text',
    ],
    [
      'a list in the place of a pair',
      '["secret", "a"]',
      'preference',
      'row 1: must be a JSON object with "prompt", "chosen" and "rejected"',
    ],
    [
      'bytes that are not UTF-8',
      Buffer.concat([
        Buffer.from('{"text": "a"}\n{"text": "'),
        Buffer.from([0xff, 0xfe]),
        Buffer.from('"}\n'),
      ]),
      'text',
      'row 2: is not UTF-8',
    ],
  ])('refuses %s with file, row and column, and quotes nothing', async (_, content, format, message) => {
    const said = await problem(content, format);
    expect(said).toBe(message);
    expect(said).not.toMatch(/secret|12345/);
  });

  test('names a file that is not there', async () => {
    await expect(readRows(join(directory, 'none.jsonl'), 'text')).rejects.toThrow(
      'none.jsonl: there is no such file',
    );
  });
});
