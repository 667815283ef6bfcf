import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { conversationTokens } from '../../../src/data/chat.ts';
import { type Message, pack, readRows, tokenize } from '../../../src/data/index.ts';
import type { Conversation, Tokenizer } from '../../../src/tokenizer/index.ts';
import { characters, encodingOf, tokenizerOf, tokensOf } from '../../support/unit/data/examples.ts';

const directory = mkdtempSync(join(tmpdir(), 'chat-'));
afterAll(() => rmSync(directory, { recursive: true }));

type Chat = (asked: Conversation) => string | undefined;
const withChat = (chat: Chat) => tokenizerOf(tokensOf, { eos: 2, chat });

/** As ChatML writes it, with `before` in front of all. */
const chatml = (before = '') =>
  withChat(
    ({ messages, generationPrompt }) =>
      before +
      messages.map(({ role, content }) => `<${role}>${content}<end>\n`).join('') +
      (generationPrompt ? '<assistant>' : ''),
  );
const options = { maxLength: 200, mode: 'train', file: 'chat.jsonl' } as const;
const user = (content: string): Message => ({ role: 'user', content });
const assistant = (content: string): Message => ({ role: 'assistant', content });
const twoTurns = [user('Hi'), assistant('Hello'), user('Bye'), assistant('So long')];
/** Whichever it was of these. */
const notLearned =
  /^chat\.jsonl: row 1: the model's chat template does not write these messages so that they can be learned: it refuses them \(check the order of their roles\), writes one otherwise when more follows .*, or fails on them or on those of a row that is read with them \(try it on public messages: offsite verify\)$/;
const textOf = (tokens: readonly number[]) => String.fromCodePoint(...tokens);

describe('format chat', () => {
  test('reads all of the conversation, predicts what the assistant says and the end of its turns', async () => {
    const [example] = await tokenize([{ messages: twoTurns }], 'chat', chatml(), options);
    const { trunk, spans, branches } = example!;
    expect(textOf(trunk)).toBe(
      '<user>Hi<end>\n<assistant>Hello<end>\n<user>Bye<end>\n<assistant>So long<end>',
    );
    expect(branches).toEqual([]);
    expect(spans!.map(([from, to]) => textOf(trunk.slice(from, to)))).toEqual(['Hello<end>', 'So long<end>']);
  });

  test('a token without a row is the fault of the template, where no message has its name', async () => {
    const named = (tokenizer: Pick<Tokenizer, 'start'>) => ({
      ...tokenizer,
      async start() {
        const running = await tokenizer.start();
        const encode: typeof running.encode = async (text, how) => ({
          ...(await running.encode(text, how)),
          beyond: text.includes('<img>'),
        });
        return { ...running, encode };
      },
    });
    const failed = (tokenizer: Pick<Tokenizer, 'start'>, content: string) =>
      tokenize([{ messages: [user(content), assistant('A')] }], 'chat', named(tokenizer), options);
    await expect(failed(chatml('<img>'), 'Hi')).rejects.toMatchObject({
      reason: 'BadData',
      message: expect.stringMatching(notLearned),
    });
    await expect(failed(chatml(), 'What is <img>?')).rejects.toMatchObject({
      reason: 'BadData',
      message: expect.stringContaining('chat.jsonl: row 1: a text in it has the name of a special token'),
    });
  });

  test('has no target but those: each is predicted by the token before it', async () => {
    const examples = await tokenize(
      [{ messages: twoTurns }, { messages: twoTurns }],
      'chat',
      chatml(),
      options,
    );
    const [batch] = pack(examples, { capacity: 160, batch: 1 });
    for (const row of [0, 1]) {
      const targets = [...batch!.targets].filter((target) => target.row === row);
      expect(textOf(targets.map(({ token }) => token))).toBe('Hello<end>So long<end>');
      for (const { from, token, branch } of targets) {
        expect([batch!.ids[from + 1], batch!.rows[from + 1], branch]).toEqual([token, row, 0]);
        expect(batch!.rows[from]).toBe(row);
      }
    }
  });

  test('ends a row after its last answer: what the user says behind it is not read', async () => {
    const [example] = await tokenize([{ messages: [...twoTurns, user('Wait')] }], 'chat', chatml(), options);
    expect(textOf(example!.trunk)).toMatch(/So long<end>$/);
  });

  test.each<[string, Pick<Tokenizer, 'start'>, string, RegExp]>([
    ['a model without a template', characters, 'BadModel', /^the tokenizer has no chat template/],
    ['roles that the template refuses', withChat(() => undefined), 'BadData', notLearned],
    [
      'a template that rewrites earlier turns',
      withChat(
        ({ messages, generationPrompt }) =>
          messages.map(({ content }) => content[0]).join('') +
          messages.length +
          (generationPrompt ? '>' : ''),
      ),
      'BadData',
      notLearned,
    ],
    ['a template that leaves the answers out', withChat(() => ''), 'BadData', notLearned],
  ])('refuses %s', async (_, tokenizer, reason, message) => {
    await expect(tokenize([{ messages: twoTurns }], 'chat', tokenizer, options)).rejects.toThrow(
      expect.objectContaining({ reason, message: expect.stringMatching(message) }),
    );
  });

  test.each([
    ['many short turns', 4000, 'a'],
    ['turns of a page', 200, 'a'.repeat(2000)],
  ])('writes no conversation again and again without end: %s', async (_, count, content) => {
    const messages = Array.from({ length: count }, (_, i) => (i % 2 ? assistant : user)(content));
    let writes = 0;
    const counted = withChat(({ messages: { length } }) => {
      writes++;
      return 'a'.repeat(length);
    });
    await expect(tokenize([{ messages }], 'chat', counted, options)).rejects.toThrow(
      `chat.jsonl: row 1: its ${count} messages come to more than 8388608 characters where each answer is written with all that stands before it; split the conversation`,
    );
    expect(writes).toBe(1);
  });

  test('looks for the parts that a template marks in one walk, however many they are', async () => {
    const count = 100_000;
    const text = 'x'.repeat(count);
    const generations = Array.from({ length: count }, (_, i) => [i, i + 1] as const);
    const { spans } = await conversationTokens(
      [user('a'), assistant('b')],
      { chat: true, write: async () => ({ text, generations, isMarked: true }) },
      {
        where: 'row 1',
        placed: async () => encodingOf(Array(count).fill(1), generations),
      },
    );
    expect(spans).toHaveLength(count);
    expect(spans.slice(0, 3)).toEqual([
      [1, 1],
      [1, 2],
      [2, 3],
    ]);
  });

  test('counts a token once in which one marked part ends and the next begins', async () => {
    const { spans } = await conversationTokens(
      [user('a'), assistant('b')],
      {
        chat: true,
        write: async () => ({
          text: 'u: <|e|>',
          generations: [
            [3, 5],
            [5, 8],
          ],
          isMarked: true,
        }),
      },
      {
        where: 'row 1',
        placed: async () =>
          encodingOf(
            [1, 2, 3],
            [
              [0, 2],
              [2, 3],
              [3, 8],
            ],
          ),
      },
    );
    expect(spans).toEqual([[2, 3]]);
  });

  test('refuses a row whose tags the template never reaches, as transformers masks all of it', async () => {
    await expect(
      conversationTokens(
        [user('a'), assistant('b')],
        { chat: true, write: async () => ({ text: 'a b', generations: [], isMarked: true }) },
        { where: 'row 1', placed: async () => encodingOf([1], [[0, 3]]) },
      ),
    ).rejects.toThrow(
      "row 1: the model's chat template does not write these messages so that they can be learned",
    );
  });

  test('never cuts an answer', async () => {
    await expect(
      tokenize([{ messages: twoTurns }], 'chat', chatml(), { ...options, maxLength: 20 }),
    ).rejects.toThrow(
      'chat.jsonl: row 1: its answers would be cut: the conversation has more tokens than maxLength 20; raise',
    );
  });

  test.each<[unknown, string]>([
    [{}, 'column "messages": is missing'],
    [{ messages: [user('secret')] }, 'column "messages": needs at least 2 messages'],
    [
      { messages: [user('secret'), user('secret')] },
      'column "messages": needs at least one message of the assistant: its words are what is predicted',
    ],
    [
      { messages: [user('secret'), { role: 'bot', content: 'secret' }] },
      'column "messages", message 1, role: must be system, user or assistant',
    ],
    [{ messages: [user('secret'), assistant(' ')] }, 'column "messages", message 1, content: is empty'],
    [{ messages: [user('secret'), { role: 'user' }] }, 'column "messages", message 1, content: is missing'],
  ])('names what is wrong with a row: %#', async (row, message) => {
    const path = join(directory, 'rows.jsonl');
    writeFileSync(path, `${JSON.stringify(row)}\n`);
    await expect(readRows(path, 'chat')).rejects.toThrow(`${path}: row 1: ${message}`);
  });
});

test('short texts share sequences: each token of each is a target once, but the first', async () => {
  const texts = Array.from({ length: 40 }, (_, i) => 'the moon is bright'.slice(0, 4 + (i % 14)));
  const examples = await tokenize(
    texts.map((text) => ({ text })),
    'text',
    characters,
    options,
  );
  const batches = pack(examples, { capacity: 128, batch: 8 });
  const tokens = texts.reduce((sum, text) => sum + text.length + 1, 0);
  expect(batches).toHaveLength(1);
  expect(batches[0]!.size).toBe(Math.ceil(tokens / 128));
  for (const [row, text] of texts.entries()) {
    const targets = [...batches[0]!.targets].filter((target) => target.row === row);
    expect(textOf(targets.map(({ token }) => token))).toBe(text);
    const positions = targets.map(({ from }) => batches[0]!.positions[from]);
    expect(positions).toEqual([...text].map((_, i) => i));
  }
});
