import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { OffsiteError } from '../../../src/api/index.ts';
import type { Checkpoint } from '../../../src/checkpoint/index.ts';
import { openTokenizer } from '../../../src/tokenizer/index.ts';
import { writeTinyModel } from '../../tiny/index.ts';

const directory = mkdtempSync(join(tmpdir(), 'tokenizer-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function badModelOf(open: () => unknown): string {
  try {
    open();
  } catch (error) {
    expect(error).toBeInstanceOf(OffsiteError);
    expect((error as OffsiteError).reason).toBe('BadModel');
    return (error as OffsiteError).message;
  }
  throw new Error('it was opened');
}

describe('tokenizer.json', () => {
  test('a byte-level tokenizer gives a token a byte', () => {
    writeTinyModel(join(directory, 'tiny'), { layers: 1 });
    const tokenizer = openTokenizer(join(directory, 'tiny'));
    expect(tokenizer.eos).toBe(256);
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        expect(tokenizer.encode(text, { specialTokens: false })).toEqual([...Buffer.from(text)]);
      }),
    );
  });

  test.each([
    ['tokenizer.json', '{', 'tokenizer.json: is not JSON'],
    ['tokenizer.json', 'null', 'tokenizer.json: is not a JSON object'],
    ['tokenizer.json', '{}', 'tokenizer.json: the tokenizer cannot be used'],
    ['tokenizer_config.json', 'null', 'tokenizer_config.json: is not a JSON object'],
  ])('%s that holds %s is refused', (name, text, message) => {
    const place = mkdtempSync(join(directory, 'bad-'));
    writeTinyModel(place, { layers: 1 });
    writeFileSync(join(place, name), text);
    expect(badModelOf(() => openTokenizer(place))).toContain(message);
  });

  test('none at all is refused', () => {
    expect(badModelOf(() => openTokenizer(directory))).toContain('holds no tokenizer.json');
  });
});

describe('the tokenizer inside GGUF', () => {
  const inside = (metadata: Record<string, unknown>) =>
    openTokenizer(directory, {
      metadata: Object.fromEntries(
        Object.entries(metadata).map(([name, value]) => [`tokenizer.ggml.${name}`, value]),
      ),
    } as unknown as Checkpoint);
  const good = {
    model: 'gpt2',
    pre: 'gpt-2',
    tokens: ['a', 'b', 'ab', 'Ġ', '<s>', '</s>'],
    token_type: [1, 1, 1, 1, 3, 3],
    merges: ['a b'],
    bos_token_id: 4,
    eos_token_id: 5,
    add_bos_token: true,
  };

  test('merges, keeps control tokens whole, and puts the first token where it is asked for', () => {
    const tokenizer = inside(good);
    expect(tokenizer.encode('ab a')).toEqual([4, 2, 3, 0]);
    expect(tokenizer.encode('ab</s>', { specialTokens: false })).toEqual([2, 5]);
    expect(tokenizer.eos).toBe(5);
    expect(inside({ ...good, add_bos_token: false }).encode('ab')).toEqual([2]);
  });

  test.each<[string, Record<string, unknown>, string]>([
    [
      'another model',
      { model: 'llama' },
      'tokenizer.ggml.model is llama; gpt2 (byte-level BPE) is supported',
    ],
    ['an unknown splitting', { pre: 'tekken' }, 'tokenizer.ggml.pre is tekken'],
    ['no tokens', { tokens: undefined }, 'tokenizer.ggml.tokens is missing or no list of the right type'],
    ['tokens that are numbers', { tokens: [1, 2] }, 'tokenizer.ggml.tokens is missing or no list'],
    ['merges in one text', { merges: 'a b' }, 'tokenizer.ggml.merges is missing or no list'],
  ])('%s is refused', (_, change, message) => {
    expect(badModelOf(() => inside({ ...good, ...change }))).toContain(message);
  });
});
