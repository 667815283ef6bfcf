import { describe, expect, test } from 'vitest';
import { type ErrorReason, OffsiteError } from '../../../src/api/index.ts';
import { type Example, pack, tokenize } from '../../../src/data/index.ts';
import type { RowOf } from '../../../src/data/rows.ts';
import type { TokenizeOptions } from '../../../src/data/tokenize.ts';
import { characters, encodingOf, tokenizerOf, tokensOf } from '../../support/unit/data/examples.ts';

const options = { maxLength: 100, mode: 'score', file: 'rows.jsonl' } as const;
const question = { question: 'Who?', choices: ['you', ' mé'], answer: 1 };
const prompt = [1, ...tokensOf('Question: Who?\nAnswer:')];

async function reason(run: () => Promise<unknown>): Promise<[ErrorReason, string]> {
  try {
    await run();
  } catch (error) {
    if (error instanceof OffsiteError) return [error.reason, error.message];
    throw error;
  }
  throw new Error('it was taken');
}

const nothing = encodingOf([]);

describe('tokenize', () => {
  test.each([
    ['a row', 1, 40_000],
    ['many rows', 256, 200],
  ])(
    'asks no more texts of the tokenizer at once than some ten thousand, of %s',
    async (_, rows, choices) => {
      let [asked, most] = [0, 0];
      const start = async () => {
        const running = await characters.start();
        const encode: typeof running.encode = async (...given) => {
          most = Math.max(most, ++asked);
          await new Promise(setImmediate);
          asked--;
          return running.encode(...given);
        };
        return { ...running, encode };
      };
      const row = {
        question: '',
        choices: Array.from({ length: choices }, (_, i) => `${i % 10}`),
        answer: 1,
      };
      const all = Array.from({ length: rows }, () => row);
      const found = await tokenize(all, 'multipleChoice', { start }, { ...options, maxLength: 2048 });
      expect(most).toBeLessThanOrEqual(16_385);
      expect(found).toHaveLength(rows);
      for (const { branches } of found)
        expect(branches).toEqual(row.choices.map((choice) => tokensOf(` ${choice}`)));
    },
  );

  test('multiple choice: special tokens in the prompt only, one leading space, no end token', async () => {
    expect(await tokenize([question], 'multipleChoice', characters, options)).toEqual([
      { row: 0, trunk: prompt, branches: [tokensOf(' you'), tokensOf(' mé')], answer: 1, bytes: [3, 3] },
    ]);
  });

  test('multiple choice in train mode keeps the right choice only', async () => {
    const [example] = await tokenize([question], 'multipleChoice', characters, { ...options, mode: 'train' });
    expect(example).toEqual({ row: 0, trunk: prompt, branches: [tokensOf(' mé')], answer: 0, bytes: [3] });
  });

  test('a context stands before the question', async () => {
    const [example] = await tokenize(
      [{ ...question, context: 'A tale.' }],
      'multipleChoice',
      characters,
      options,
    );
    expect(example!.trunk).toEqual([1, ...tokensOf('A tale.\nQuestion: Who?\nAnswer:')]);
  });

  test('a completion ends with the end token, and nothing is put between it and its prompt', async () => {
    expect(await tokenize([{ prompt: 'ab', completion: 'c' }], 'completion', characters, options)).toEqual([
      { row: 0, trunk: [1, ...tokensOf('ab')], branches: [[...tokensOf('c'), 2]], answer: 0, bytes: [1] },
    ]);
  });

  test('a pair has one prompt with both answers in scoring, and the chosen one alone in training', async () => {
    const rows = [{ prompt: 'ab', chosen: ' cé', rejected: ' d' }];
    const trunk = [1, ...tokensOf('ab')];
    const [chosen, rejected] = [' cé', ' d'].map((answer) => [...tokensOf(answer), 2]);
    expect(await tokenize(rows, 'preference', characters, options)).toEqual([
      { row: 0, trunk, branches: [rejected, chosen], answer: 1, bytes: [1, 3] },
    ]);
    const train = { ...options, mode: 'train' } as const;
    expect(await tokenize(rows, 'preference', characters, train)).toEqual([
      { row: 0, trunk, branches: [chosen], answer: 0, bytes: [3] },
    ]);
  });

  test('a pair whose answers are the same tokens is refused with its row', async () => {
    const rows = [{ prompt: 'a', chosen: 'b', rejected: 'B' }];
    const lower = tokenizerOf((text) => tokensOf(text.toLowerCase()));
    expect(await reason(() => tokenize(rows, 'preference', lower, options))).toEqual([
      'BadData',
      'rows.jsonl: row 1: the tokenizer makes the same tokens of both answers; remove the row',
    ]);
    const train = { ...options, mode: 'train' } as const;
    expect(await tokenize(rows, 'preference', lower, train)).toHaveLength(1);
  });

  test('text is cut at maxLength', async () => {
    const cut = { ...options, maxLength: 3 };
    expect(await tokenize([{ text: 'abcdef' }], 'text', characters, cut)).toEqual([
      { row: 0, trunk: [1, ...tokensOf('ab')], branches: [], bytes: [] },
    ]);
  });

  test.each(['train', 'score'] as const)(
    '%s: a row whose answer would be cut is refused with its number, and not by how much',
    async (mode) => {
      const long = { question: 'Who?', choices: ['x'.repeat(90), 'y'.repeat(90)], answer: 0 };
      const rows = [question, long];
      expect(await reason(() => tokenize(rows, 'multipleChoice', characters, { ...options, mode }))).toEqual([
        'BadData',
        'rows.jsonl: row 2: its answer would be cut: with its prompt it has more tokens than maxLength 100; raise maxLength or shorten the row',
      ]);
    },
  );

  test.each<[format: 'text' | 'completion', row: RowOf['text'] & RowOf['completion']]>([
    ['text', { text: 'x'.repeat(40), prompt: '', completion: '' }],
    ['completion', { text: '', prompt: 'Who?', completion: 'y'.repeat(20) }],
  ])(
    'of %s: a row that is longer than the positions of the model is refused with its number',
    async (format, row) => {
      const [{ trunk, branches }] = (await tokenize([row], format, characters, options)) as [Example];
      const length = trunk.length + Math.max(0, ...branches.map((branch) => branch.length));
      const of = (positions: number) => tokenize([row, row], format, characters, { ...options, positions });
      expect(await of(length)).toHaveLength(2);
      expect(await reason(() => of(length - 1))).toEqual([
        'BadData',
        `rows.jsonl: row 1: has more tokens than the ${length - 1} that the model has positions for; lower maxLength to ${length - 1}, or shorten the row`,
      ]);
    },
  );

  test('a text of more than 2^20 characters is cut there, an answer to it is refused before the tokenizer sees it', async () => {
    const long = 'a'.repeat(2 ** 20 + 1);
    const lengths: number[] = [];
    const listening = tokenizerOf((text) => {
      lengths.push(text.length);
      return tokensOf(text);
    });
    const cut = { ...options, maxLength: 3 };
    const [example] = await tokenize([{ text: long }], 'text', listening, cut);
    expect(example!.trunk).toEqual([1, ...tokensOf('aa')]);
    const row = { question: long, choices: ['x'], answer: 0 };
    expect(await reason(() => tokenize([row], 'multipleChoice', listening, cut))).toEqual([
      'BadData',
      'rows.jsonl: row 1: its answer would be cut: its text has more than 1048576 characters; shorten the row',
    ]);
    expect(lengths).toEqual([2 ** 20]);
  });

  test('a long prompt with many choices is refused before the tokenizer sees it', async () => {
    const row = { question: 'a'.repeat(100_000), choices: Array.from({ length: 50 }, () => 'x'), answer: 0 };
    const asked: string[] = [];
    const listening = tokenizerOf((text) => {
      asked.push(text);
      return tokensOf(text);
    });
    expect(await reason(() => tokenize([row], 'multipleChoice', listening, options))).toEqual([
      'BadData',
      'rows.jsonl: row 1: its prompt with each of its 50 choices comes to 5001000 characters, and a row may have 4194304 in all; shorten the prompt or leave choices out',
    ]);
    expect(asked).toEqual([]);
  });

  test('rows of many long choices wait for each other', async () => {
    const rows = Array.from({ length: 12 }, () => ({
      ...{ question: 'a'.repeat(4000), choices: Array.from({ length: 400 }, () => 'x'), answer: 0 },
    }));
    const running = await characters.start();
    let [texts, most] = [0, 0];
    const slow: typeof running = {
      ...running,
      encode: async (text) => {
        most = Math.max(most, ++texts);
        await new Promise(setImmediate);
        texts--;
        return encodingOf(text.endsWith('x') ? [1, 3] : [1]);
      },
    };
    const tokenizer = { start: async () => slow };
    const examples = await tokenize(rows, 'multipleChoice', tokenizer, { ...options, maxLength: 8192 });
    expect(examples.map(({ row }) => row)).toEqual(rows.map((_, row) => row));
    // Five rows come to 8 MiB.
    expect(most).toBe(5 * 401);
  });

  test('rows are numbered from the start of their file', async () => {
    const after = { ...options, maxLength: 3, before: 512 };
    expect((await reason(() => tokenize([question], 'multipleChoice', characters, after)))[1]).toMatch(
      /^rows\.jsonl: row 513: its answer would be cut/,
    );
  });

  test('a long prompt whose choices take many sequences is refused, and taken where they are fewer or longer', async () => {
    // 2000 tokens of prompt and 30 of each choice: a sequence of 2048 has room for one
    const take = (count: number, more: Partial<TokenizeOptions> = {}) => {
      const choices = Array.from({ length: count }, () => 'x'.repeat(29));
      const row = { question: 'a'.repeat(1981), choices, answer: 0 };
      return tokenize([row], 'multipleChoice', characters, { ...options, maxLength: 2048, ...more });
    };
    expect(await reason(() => take(65))).toEqual([
      'BadData',
      'rows.jsonl: row 1: its 65 choices take more than 131072 tokens in all, with the prompt in each sequence of them; leave choices out, shorten the prompt or raise maxLength',
    ]);
    expect(await take(64)).toHaveLength(1);
    expect(await take(65, { mode: 'train' })).toHaveLength(1);
    expect(await take(65, { maxLength: 3950 })).toHaveLength(1);
  });

  test('a row that just fits is taken', async () => {
    const fits = { ...options, maxLength: prompt.length + 4 };
    expect(await tokenize([question], 'multipleChoice', characters, fits)).toHaveLength(1);
  });

  test('a text without tokens, and a tokenizer without an end token, are named', async () => {
    const silent = { start: async () => ({ ...(await characters.start()), encode: async () => nothing }) };
    expect(await reason(() => tokenize([{ text: 'a' }], 'text', silent, options))).toEqual([
      'BadData',
      'rows.jsonl: row 1: the tokenizer makes no token of a text in it; remove the row',
    ]);
    const endless = tokenizerOf(tokensOf, {});
    const rows = [{ prompt: 'a', completion: 'b' }];
    expect((await reason(() => tokenize(rows, 'completion', endless, options)))[0]).toBe('BadModel');
  });
});

describe('a tokenizer that joins what stands on both sides of the seam', () => {
  /** Two tokens a word: its first letters, and its end; blanks belong to the word behind them. */
  const pieces = (text: string) => text.match(/ ?[^ ]{1,2}/g) ?? [];
  const ids = new Map<string, number>();
  const idOf = (piece: string) => ids.get(piece) ?? ids.set(piece, 10 + ids.size).get(piece)!;
  const words = tokenizerOf((text) => pieces(text).map(idOf));
  const of = (...texts: string[]) => texts.map(idOf);

  test('an answer has the tokens of the whole text, and the trunk is what all of these begin with', async () => {
    const row = { prompt: 'Ab c', completion: 'd ef' };
    expect(await tokenize([row], 'completion', words, options)).toEqual([
      { row: 0, trunk: [1, ...of('Ab', ' cd')], branches: [[...of(' ef'), 2]], answer: 0, bytes: [4] },
    ]);
    const rows = [{ prompt: 'Ab c', choices: ['ef', 'gh'], answer: 1 }];
    const seams = tokenizerOf((text) => pieces(text.replace('c ef', 'cef')).map(idOf));
    const [example] = await tokenize(rows, 'openbookqa', seams, options);
    expect(example).toEqual({
      row: 0,
      trunk: [1, ...of('Ab')],
      branches: [of(' ce', 'f'), of(' c', ' gh')],
      starts: [1, 1],
      answer: 1,
      bytes: [2, 2],
    });
    const [batch] = pack([example!], { capacity: 16, batch: 1 });
    expect(
      Array.from(batch!.targets, ({ from, token, branch }) => [batch!.ids[from], token, branch]),
    ).toEqual([
      [...of(' ce', 'f'), 1],
      [...of(' c', ' gh'), 2],
    ]);
  });

  test('an answer without a token of its own is refused with its row', async () => {
    const rows = [{ prompt: 'Ab c', completion: 'd' }];
    expect(await reason(() => tokenize(rows, 'completion', words, options))).toEqual([
      'BadData',
      expect.stringMatching(/^rows\.jsonl: row 1: an answer has no token of its own/),
    ]);
  });

  test('white space at the end of a prompt goes to the answer, as Python knows it', async () => {
    const row = { prompt: 'Ab\u00a0\n \u001c', completion: 'cd' };
    const [example] = await tokenize([row], 'completion', characters, options);
    expect(example).toMatchObject({
      trunk: [1, ...tokensOf('Ab')],
      branches: [[...tokensOf('\u00a0\n \u001ccd'), 2]],
    });
  });

  test('before an answer to nothing stands the token that begins a text', async () => {
    const bare = { start: async () => ({ ...(await characters.start()), encode: plain }) };
    const plain = async (text: string) => encodingOf(tokensOf(text));
    const rows = [{ prompt: ' ', completion: 'cd' }];
    expect(await tokenize(rows, 'completion', bare, options)).toMatchObject([
      { trunk: [1], branches: [[...tokensOf(' cd'), 2]] },
    ]);
    expect(await tokenize(rows, 'completion', characters, options)).toMatchObject([{ trunk: [1] }]);
  });

  test('a text with the name of a token that the model has no row for is refused, and not by its number', async () => {
    const encode = async (text: string) => ({
      ...encodingOf(tokensOf(text)),
      beyond: true,
    });
    const without = { start: async () => ({ ...(await characters.start()), encode }) };
    expect(await reason(() => tokenize([{ text: 'a' }], 'text', without, options))).toEqual([
      'BadData',
      "rows.jsonl: row 1: a text in it has the name of a special token for which the model's embedding has no row; remove the name from the row",
    ]);
  });
});
