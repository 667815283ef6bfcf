import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test, vi } from 'vitest';
import { OffsiteError } from '../../../src/api/index.ts';
import type { Checkpoint } from '../../../src/checkpoint/index.ts';
import { fromGguf } from '../../../src/tokenizer/gguf.ts';
import { openTokenizer, type Tokenizer } from '../../../src/tokenizer/index.ts';
import { Encoder } from '../../../src/tokenizer/program/encoder.ts';
import { writeTinyModel } from '../../support/tiny/index.ts';
import { tinyTokenizer, writeTinyTokenizer } from '../../support/tiny/tokenizer.ts';

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

/** What a bundle would carry of it, in the library. */
function encoderOf({ files }: Tokenizer) {
  const [file] = files;
  const encoder = new Encoder(new TextDecoder().decode(file!.bytes));
  return async (text: string, specialTokens = true) => {
    const { ids } = await encoder.encode([text], { specialTokens, offsets: false });
    return [...ids];
  };
}

/** A directory with this beside a tiny tokenizer's own fields. */
function withFields(fields: object, config: object = {}): string {
  const place = mkdtempSync(join(directory, 'changed-'));
  writeFileSync(join(place, 'tokenizer.json'), JSON.stringify({ ...tinyTokenizer(), ...fields }));
  writeFileSync(join(place, 'tokenizer_config.json'), JSON.stringify(config));
  return place;
}

describe('tokenizer.json', () => {
  test('a byte-level tokenizer gives a token a byte', async () => {
    writeTinyModel(join(directory, 'tiny'), { layers: 1 });
    const encode = encoderOf(openTokenizer(join(directory, 'tiny')));
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'grapheme' }), async (text) => {
        expect(await encode(text)).toEqual([...Buffer.from(text)]);
      }),
    );
  });

  const vocabulary = Object.keys((tinyTokenizer() as { model: { vocab: object } }).model.vocab).length;
  /** @param place behind the vocabulary */
  const named = (content: string, place: number, normalized = true) => ({
    ...{ id: vocabulary + place, content, normalized, special: false },
    ...{ lstrip: false, rstrip: false, single_word: false },
  });
  const asOne =
    /tokenizer\.json: the tokenizer cannot be used: its added tokens "THE" and "The" are one text/;
  const otherNumber =
    /tokenizer\.json: the tokenizer cannot be used: its added token "the" has the number \d+ there/;
  test.each([
    ['that the normalizer makes one', { type: 'Lowercase' }, [named('THE', 0), named('The', 1)], asOne],
    ['of one name', null, [named('the', 0), named('the', 1)], otherNumber],
    ['that have another number in the vocabulary', null, [named('the', 500)], otherNumber],
    ['that differ after it', { type: 'Lowercase' }, [named('THE', 0), named('THEN', 1)], undefined],
    ['of which it changes one', { type: 'Lowercase' }, [named('THE', 0, false), named('the', 1)], undefined],
    ['without a normalizer', null, [named('THE', 0), named('the', 1)], undefined],
  ])('added tokens %s: which of them a text gets is no chance', async (_, normalizer, added, refusal) => {
    const started = openTokenizer(withFields({ normalizer, added_tokens: added })).start();
    if (refusal === undefined) (await started).close();
    else await expect(started).rejects.toThrow(refusal);
  });

  test.each([
    ['tokenizer.json', '{', 'tokenizer.json: is not JSON'],
    ['tokenizer.json', 'null', 'tokenizer.json: is not a JSON object'],
    ['tokenizer.json', '['.repeat(100), 'tokenizer.json: '],
    ['tokenizer_config.json', 'null', 'tokenizer_config.json: is not a JSON object'],
    ['chat_template.jinja', 'x'.repeat(2 ** 20 + 1), 'chat_template.jinja: is larger than 1 MiB'],
    [
      'tokenizer_config.json',
      JSON.stringify({ chat_template: 'x'.repeat(2 ** 20 + 1) }),
      'tokenizer_config.json: its chat template is larger than 1 MiB',
    ],
  ])('%s that holds %.10s is refused', (name, text, message) => {
    const place = mkdtempSync(join(directory, 'bad-'));
    writeTinyTokenizer(place);
    writeFileSync(join(place, name), text);
    expect(badModelOf(() => openTokenizer(place))).toContain(message);
  });

  test.each(['tokenizer.json', 'tokenizer_config.json', 'chat_template.jinja'])(
    'a named pipe or a device in place of %s is refused, and not waited for',
    (name) => {
      for (const put of [
        (path: string) => execFileSync('mkfifo', [path]),
        (path: string) => symlinkSync('/dev/zero', path),
      ]) {
        const place = mkdtempSync(join(directory, 'pipe-'));
        writeTinyTokenizer(place);
        rmSync(join(place, name), { force: true });
        put(join(place, name));
        expect(badModelOf(() => openTokenizer(place))).toMatch(/: is (no plain|not a) file$/);
      }
    },
  );

  test('none at all is refused; of an older kind it is said how it is made into one', () => {
    const place = mkdtempSync(join(directory, 'none-'));
    expect(badModelOf(() => openTokenizer(place))).toContain(
      'holds no tokenizer.json, and there is no tokenizer',
    );
    for (const name of ['merges.txt', 'vocab.json']) writeFileSync(join(place, name), '');
    expect(badModelOf(() => openTokenizer(place))).toBe(
      `${place}: holds no tokenizer.json but vocab.json and merges.txt; transformers makes it of them:` +
        ` python -c "from transformers import AutoTokenizer as T; T.from_pretrained('${place}').save_pretrained('${place}')"`,
    );
  });

  const sequence = (depth: number): object =>
    depth === 0 ? { type: 'NFC' } : { type: 'Sequence', normalizers: [sequence(depth - 1)] };

  test.each<[object, string]>([
    [{ normalizer: { type: 'Rot13\u001b[2J' } }, 'normalizer: Rot13'],
    [
      { pre_tokenizer: { type: 'Sequence', pretokenizers: [{ type: 'Digits' }, { type: 'Tekken' }] } },
      'pre_tokenizer.pretokenizers[1]: Tekken is not supported (BertPreTokenizer, ',
    ],
    [{ post_processor: { type: 'Magic' } }, 'post_processor: Magic is not supported'],
    [{ model: { type: 'Char' } }, 'model: Char is not supported (BPE, Unigram, WordLevel, WordPiece are)'],
    [{ normalizer: sequence(10) }, 'normalizer: has more than 64 members, or is nested deeper than 8'],
    [
      { normalizer: { type: 'Sequence', normalizers: Array.from({ length: 65 }, () => ({ type: 'NFC' })) } },
      'normalizer: has more than 64 members',
    ],
    [{ model: { type: 'BPE', vocab: {}, merges: [], dropout: 0.1 } }, 'model.dropout is 0.1'],
    [
      { added_tokens: [{ id: 256, content: 'x'.repeat(1025), special: true }] },
      'and so on has 1025 characters; at most 1024 are supported',
    ],
  ])('%.80j is refused by name', (fields, message) => {
    const told = badModelOf(() => openTokenizer(withFields(fields)));
    expect(told).toContain(message);
    expect(told).not.toContain('\u001b');
  });
});

describe('tokens that the embedding has no row for', () => {
  const rowsOf = (fields: object, config: object, rows: number) => () =>
    openTokenizer(withFields(fields, config), { rows });
  const image = { id: 257, content: '<image>', special: true };
  const added_tokens = [...(tinyTokenizer() as { added_tokens: object[] }).added_tokens, image];

  test('are not looked for without end in a long template', () => {
    const many = Array.from({ length: 20_000 }, (_, at) => ({
      id: 300 + at,
      content: `ab${at}`,
      special: true,
    }));
    const config = { chat_template: 'x'.repeat(1 << 20) };
    expect(badModelOf(rowsOf({ added_tokens: [...added_tokens, ...many] }, config, 258))).toMatch(
      /tokenizer\.json: too many or too long special tokens have numbers that the model's embedding has no row for \(it has 258\)/,
    );
    // None of those that have a row costs a look.
    rowsOf({ added_tokens: [...added_tokens, ...many] }, config, 30_000)();
    const long = (at: number) => ({
      ...{ id: 300 + at, special: true },
      content: `${at}${'x'.repeat(500)}y${'x'.repeat(500)}`,
    });
    const several = Array.from({ length: 3 }, (_, at) => long(at));
    expect(badModelOf(rowsOf({ added_tokens: [...added_tokens, ...several] }, config, 258))).toContain(
      'too long',
    );
  });

  test('are told when the model is opened, with the first of them', () => {
    expect(badModelOf(rowsOf({}, { eos_token: '<|end|>' }, 256))).toMatch(
      /tokenizer\.json: token "<\|end\|>" has number 256, and the model's embedding has 256 rows \(0 to 255\)$/,
    );
    expect(badModelOf(rowsOf({}, {}, 9))).toMatch(/has number 9, and the model's embedding has 9 rows/);
    const plain = { added_tokens: [{ ...image, special: false }] };
    expect(badModelOf(rowsOf(plain, {}, 257))).toContain('token "<image>" has number 257');
    expect(rowsOf({}, {}, 257)).not.toThrow();
  });

  test('may be special ones that nothing writes but their own name', () => {
    expect(rowsOf({ added_tokens }, {}, 257)).not.toThrow();
    expect(badModelOf(rowsOf({ added_tokens }, { pad_token: '<image>' }, 257))).toContain('number 257');
    expect(badModelOf(rowsOf({ added_tokens }, { chat_template: 'x<image>' }, 257))).toContain('number 257');
  });
});

describe('the tokenizer inside GGUF', () => {
  const inside = (metadata: Record<string, unknown>) =>
    openTokenizer(directory, {
      checkpoint: {
        metadata: Object.fromEntries(
          Object.entries(metadata).map(([name, value]) => [`tokenizer.ggml.${name}`, value]),
        ),
      } as unknown as Checkpoint,
    });
  const good = {
    model: 'gpt2',
    pre: 'gpt-2',
    tokens: ['a', 'b', 'ab', 'Ġ', '<s>', '</s>'],
    token_type: [1, 1, 1, 1, 3, 3],
    merges: ['a b'],
    bos_token_id: 4,
    eos_token_id: 5,
  };
  const piece = {
    model: 'llama',
    tokens: ['<unk>', '<s>', '</s>', '<0xC3>', '<0xA9>', '▁', 'a', 'b', '▁a', 'ab'],
    scores: [0, 0, 0, 0, 0, -1, -2, -3, -10, -9],
    token_type: [2, 3, 3, 6, 6, 1, 1, 1, 1, 1],
    bos_token_id: 1,
    eos_token_id: 2,
  };

  test('merges, keeps control tokens whole, and puts the first token where it is asked for', async () => {
    const encode = encoderOf(inside({ ...good, add_bos_token: true }));
    expect(await encode('ab a')).toEqual([4, 2, 3, 0]);
    expect(await encode('ab</s>', false)).toEqual([2, 5]);
    expect(await encoderOf(inside(good))('ab')).toEqual([2]);
    expect(await encoderOf(inside({ ...good, add_eos_token: true }))('ab')).toEqual([2, 5]);
  });

  test('llama-bpe takes a word that is a token before it merges, and puts BOS in front unless told otherwise', async () => {
    // GPT-2's characters of bytes, and some more.
    const bytes = Array.from({ length: 0x144 }, (_, at) => String.fromCharCode(at)).filter(
      (character) => /[!-~¡-¬®-ÿ]|[^\0-ÿ]/.test(character) && !good.tokens.includes(character),
    );
    const tokens = [...good.tokens, ...bytes];
    const llama = { ...good, tokens, pre: 'llama-bpe', merges: [] };
    expect(await encoderOf(inside(llama))('ab')).toEqual([4, 2]);
    expect(await encoderOf(inside({ ...llama, add_bos_token: false }))('ab')).toEqual([2]);
    expect(await encoderOf(inside({ ...good, merges: [] }))('ab')).toEqual([0, 1]);
  });

  test('SentencePiece joins by score, marks blanks, writes bytes, and puts BOS in front unless told otherwise', async () => {
    const encode = encoderOf(inside(piece));
    expect(await encode('ab')).toEqual([1, 5, 9]);
    expect(await encode('é a')).toEqual([1, 5, 3, 4, 8]);
    expect(await encode('a</s>b')).toEqual([1, 8, 2, 5, 7]);
    expect(await encoderOf(inside({ ...piece, add_bos_token: false, add_space_prefix: false }))('a')).toEqual(
      [6],
    );
  });

  test('SentencePiece has each pair once', () => {
    const tokens = Array.from({ length: 128 }, (_, i) => 'a'.repeat(i + 1));
    const { tokenizer } = fromGguf({
      'tokenizer.ggml.model': 'llama',
      'tokenizer.ggml.tokens': tokens,
      'tokenizer.ggml.scores': tokens.map((_, i) => -i),
    });
    expect((tokenizer['model'] as { merges: unknown[] }).merges).toHaveLength((128 * 127) / 2);
  });

  // Here and below the ids are llama.cpp's of the same file (node-llama-cpp 3.19).
  test('of a splitting that is not named, signs, words and digits in threes are apart', async () => {
    const letters = ['Ġ', 'a', 'b', '1', '2', '3', '(', '!', '12', '123', '!!', 'Ġ(', 'Ġa', 'ab'];
    const unnamed = {
      model: 'gpt2',
      tokens: letters,
      token_type: letters.map(() => 1),
      merges: ['1 2', '12 3', '! !', 'Ġ (', 'Ġ a', 'a b'],
    };
    for (const pre of [undefined, 'default']) {
      const encode = encoderOf(inside({ ...unnamed, pre }));
      expect(await encode('12312 (ab!! a')).toEqual([9, 8, 0, 6, 13, 10, 12]);
    }
    expect(await encoderOf(inside({ ...unnamed, pre: 'gpt-2' }))('12312 (ab!! a')).toEqual([
      9, 8, 11, 13, 10, 12,
    ]);
  });

  test('a llama tokenizer that names no special tokens has the first ones', async () => {
    const { bos_token_id: _, eos_token_id: __, ...unnamed } = piece;
    expect(await encoderOf(inside({ ...unnamed, add_eos_token: true }))('ab')).toEqual([1, 5, 9, 2]);
  });

  test('a token that llama.cpp knows by its text is whole, whatever its type', async () => {
    const tokens = [...good.tokens, '<', 'e', 'o', 's', '>', '<eos>', '<PRE>'];
    const types = tokens.map((text) => (/^<\/?s>$/.test(text) ? 3 : 1));
    const encode = encoderOf(inside({ ...good, tokens, token_type: types }));
    expect(await encode('a<eos>b')).toEqual([0, 11, 1]);
    expect(await encode('a<PRE>b')).toEqual([0, 12, 1]);
    const named = encoderOf(inside({ ...good, tokens, token_type: types, fim_pre_token_id: 0 }));
    expect(await named('a<PRE>b')).not.toContain(12);
  });

  test('SentencePiece joins to a token of any type, where blanks are part of it', async () => {
    const words = ['▁ab', '<', '0', '<0'];
    const marked = {
      ...piece,
      tokens: [...piece.tokens, ...words],
      scores: [...piece.scores, -1, -20, -21, -22],
    };
    for (const type of [3, 4, 5]) {
      const encode = encoderOf(inside({ ...marked, token_type: [...piece.token_type, type, 1, 1, 1] }));
      expect(await encode('ab b')).toEqual([1, 10, 5, 7]);
    }
  });

  test('nothing is joined across a byte that has no token', async () => {
    expect(await encoderOf(inside(good))('a\x13b ab')).toEqual([0, 1, 3, 2]);
  });

  test('a merge that stands there again keeps its rank', async () => {
    const tokens = ['a', 'b', 'c', 'ab', 'bc', '<s>', '</s>'];
    const twice = { ...good, tokens, token_type: [1, 1, 1, 1, 1, 3, 3], bos_token_id: 5, eos_token_id: 6 };
    expect(await encoderOf(inside({ ...twice, merges: ['a b', 'b c', 'a b'] }))('abc')).toEqual([3, 2]);
  });

  test('runs of one character are whole as far as the longest reaches', async () => {
    const tokens = [...good.tokens, '\n', '\n\n', '\n\n\n'];
    const token_type = [...good.token_type, 4, 4, 4];
    expect(await encoderOf(inside({ ...good, tokens, token_type }))('a\n\n\n\n\nb')).toEqual([0, 8, 7, 1]);
  });

  test.each<[string, Record<string, unknown>, string]>([
    [
      'another model',
      { model: 't5' },
      'tokenizer.ggml.model is t5; gpt2 (byte-level BPE) and llama (SentencePiece BPE) are supported',
    ],
    ['an unknown splitting', { pre: 'tekken' }, 'tokenizer.ggml.pre is tekken'],
    ['no tokens', { tokens: undefined }, 'tokenizer.ggml.tokens is missing or no list of the right type'],
    ['tokens that are numbers', { tokens: [1, 2] }, 'tokenizer.ggml.tokens is missing or no list'],
    ['merges in one text', { merges: 'a b' }, 'tokenizer.ggml.merges is missing or no list'],
    ['no scores', { model: 'llama' }, 'tokenizer.ggml.scores has 0 numbers for 6 tokens'],
    [
      'a token without end',
      { model: 'llama', tokens: ['a'.repeat(129)], token_type: [], scores: [0] },
      'tokenizer.ggml.tokens: a token has 129 characters; at most 128 are supported',
    ],
    [
      'a token that stands there twice',
      { tokens: ['a', 'b', 'ab', 'a', '<s>', '</s>'] },
      'tokenizer.ggml.tokens: "a" is token 0 and token 3',
    ],
    [
      'whole tokens that overlap',
      { tokens: ['a', 'b', 'ab', 'bcd', '<s>', '</s>'], token_type: [1, 1, 4, 4, 3, 3] },
      'tokenizer.ggml.tokens: "ab" ends as "bcd" begins',
    ],
    [
      'a whole token without end',
      { tokens: ['a', 'b', 'ab', 'x'.repeat(129), '<s>', '</s>'], token_type: [1, 1, 1, 4, 3, 3] },
      'a token that is matched as a whole has 129 characters; at most 128 are supported',
    ],
    [
      'tokens without end',
      { tokens: ['x'.repeat(5_000_000), 'y'.repeat(5_000_000)], token_type: [] },
      'the tokens have 10000000 characters; at most 8388608 are supported',
    ],
    [
      'whole tokens without end',
      {
        tokens: Array.from({ length: 3000 }, (_, i) => `${i}`.padEnd(100, 'x')),
        token_type: new Array<number>(3000).fill(3),
      },
      'those that are matched as a whole have 300000 characters; at most 262144 are supported',
    ],
    [
      'runs that would take their time to be looked at',
      {
        model: 'llama',
        tokens: Array.from({ length: 33 }, (_, i) => '▁'.repeat(i + 1)),
        token_type: [],
        scores: new Array<number>(33).fill(-1),
      },
      'tokenizer.ggml.scores: "▁▁" and "▁▁▁" have one score',
    ],
    [
      'one of two tokens that llama.cpp would make a control token',
      { tokens: ['a', 'b', 'ab', '<PRE>', '<fim_prefix>', '</s>'] },
      '"<fim_prefix>" and "<PRE>" are of one kind',
    ],
    [
      'BOS beyond the tokens',
      { bos_token_id: 6 },
      'tokenizer.ggml.bos_token_id is 6, and there are 6 tokens',
    ],
    [
      'a BOS that nobody names',
      { add_bos_token: true, bos_token_id: undefined },
      'tokenizer.ggml.bos_token_id is missing, and texts have that token',
    ],
    [
      'two tokens that are joined with one score',
      { model: 'llama', tokens: ['a', 'b', 'ab', 'ba'], token_type: [], scores: [0, 0, -1, -1] },
      'tokenizer.ggml.scores: "ab" and "ba" have one score',
    ],
    [
      'a token that is joined of a character that is none',
      { model: 'llama', tokens: ['a', 'ab', 'c', 'd', 'e', 'f'], scores: [0, 0, 0, 0, 0, 0] },
      'tokenizer.ggml.tokens: "ab" is made of "a" and "b", of which one is no token',
    ],
    [
      'a token that is joined of a byte',
      { model: 'llama', tokens: ['x', '<0x9E>', '<0x9E>x'], token_type: [1, 6, 1], scores: [0, 0, -1] },
      'tokenizer.ggml.tokens: "<0x9E>x" is joined of "<0x9E>", which stands for a byte',
    ],
    [
      'scores that are one as float32',
      { model: 'llama', tokens: ['a', 'b', 'ab', 'ba'], token_type: [], scores: [0, 0, 16777216, 16777217] },
      'tokenizer.ggml.scores: "ab" and "ba" have one score',
    ],
    [
      'an end that llama.cpp takes for none',
      { tokens: ['a', 'b', 'ab', '<|tool_response>', '<s>', '</s>'] },
      '"</s>" beside "<|tool_response>"',
    ],
    [
      'LLaMA 3 without all bytes',
      { pre: 'llama-bpe' },
      'bytes have no token, which is not supported with tokenizer.ggml.pre llama-bpe',
    ],
    [
      'runs of blanks that come out differently by who joins them',
      { model: 'llama', tokens: ['▁', '▁▁', '▁▁▁'], token_type: [1, 4, 4], scores: [0, -1, -1] },
      'tokenizer.ggml.scores: "▁▁" and "▁▁▁" have one score',
    ],
    [
      'a score that is no number',
      { model: 'llama', scores: [0, 0, Number.NaN, 0, 0, 0] },
      'tokenizer.ggml.scores is missing or no list of the right type',
    ],
  ])('%s is refused', (_, change, message) => {
    expect(badModelOf(() => inside({ ...good, ...change }))).toContain(message);
  });
});

test('that the machine stood still for hours while it was computed is not its fault', async () => {
  const place = mkdtempSync(join(directory, 'still-'));
  writeTinyTokenizer(place);
  const now = performance.now.bind(performance);
  let stood = 0;
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => {
    stood += 3_600_000;
    return now() + stood;
  });
  try {
    const running = await openTokenizer(place).start();
    running.close();
  } finally {
    clock.mockRestore();
  }
});

test('added tokens are compared with each other for no longer than a moment', () => {
  const token = (id: number) => ({
    ...{ id, content: `${'a'.repeat(1019)}${id}`, special: true, normalized: false },
    ...{ lstrip: false, rstrip: false, single_word: false },
  });
  const added_tokens = Array.from({ length: 500 }, (_, i) => token(1000 + i));
  const other = { [1499]: { ...token(1499), normalized: true } };
  const start = process.cpuUsage();
  badModelOf(() =>
    openTokenizer(withFields({ normalizer: null, added_tokens }, { added_tokens_decoder: other })),
  );
  const { user } = process.cpuUsage(start);
  expect(user).toBeLessThan(5e6);
});

describe('what lies beside tokenizer.json', () => {
  const [end] = (tinyTokenizer() as { added_tokens: { id: number; content: string }[] }).added_tokens;
  const { id, ...token } = end!;
  const same = { added_tokens_decoder: { [id]: token } };
  /** @param files by their names, without their ending */
  const opened = (config: object, files: Record<string, object> = {}, fields: object = {}) => {
    const place = withFields(fields, config);
    for (const [name, value] of Object.entries(files))
      writeFileSync(join(place, `${name}.json`), JSON.stringify(value));
    return () => openTokenizer(place);
  };

  // Each was held against transformers 5.24: the ids of texts stay what they are.
  test.each<[what: string, config: object, files?: Record<string, object>, fields?: object]>([
    ['the same tokens', { ...same, eos_token: token.content, pad_token: token.content, bos_token: null }],
    ['the same with another number', { added_tokens_decoder: { 5: token } }],
    ['one that is named with other rules', { eos_token: { __type: 'AddedToken', ...token, lstrip: true } }],
    [
      'one whose normalizer there is none of, and no other token where it stands',
      { added_tokens_decoder: { [id]: { ...token, normalized: true } } },
      {},
      { added_tokens: [end, { ...end, id: 257, content: '<x>' }] },
    ],
    ['a name of its own for what fills up', { pad_token: null }, {}, { padding: { pad_token: 'The' } }],
    ['lists of the same', { extra_special_tokens: [token.content], additional_special_tokens: ['The'] }],
    ['a mapping of the same', { extra_special_tokens: { end_token: token.content }, add_bos_token: true }],
    [
      'what the decoder stands before',
      same,
      { special_tokens_map: { pad_token: 'The' }, added_tokens: { The: 7 } },
    ],
    [
      'the same in other files',
      {},
      { special_tokens_map: { eos_token: token }, added_tokens: { [token.content]: id } },
    ],
  ])('may hold %s', (_, config, files, fields) => {
    opened(config, files, fields)();
  });

  const none = `token "The" is none of tokenizer.json's added_tokens`;
  const other = (flag: string) =>
    `token "${token.content}" has another ${flag} than in tokenizer.json's added_tokens`;
  const decoder = (flags: object) => ({ added_tokens_decoder: { [id]: { ...token, ...flags } } });
  test.each<[message: string, config: object, files?: Record<string, object>, fields?: object]>([
    [
      `tokenizer_config.json: added_tokens_decoder.5: ${none}`,
      { added_tokens_decoder: { 5: { content: 'The' } } },
    ],
    [`added_tokens_decoder.${id}: ${other('lstrip')}`, decoder({ lstrip: true })],
    [other('rstrip'), decoder({ rstrip: true })],
    [other('single_word'), decoder({ single_word: true })],
    [other('normalized'), decoder({ normalized: true }), {}, { normalizer: { type: 'NFC' } }],
    [
      other('normalized'),
      decoder({ normalized: true }),
      {},
      { added_tokens: [end, { ...end, id: 257, content: `${token.content} x` }] },
    ],
    [
      other('normalized'),
      decoder({ normalized: true }),
      {},
      { added_tokens: [end, { ...end, id: 257, content: 'x', lstrip: true }] },
    ],
    [`tokenizer_config.json: pad_token: ${none}`, { pad_token: 'The' }],
    [`image_token: ${none}`, { image_token: { __type: 'AddedToken', content: 'The' } }],
    [`additional_special_tokens.0: ${none}`, { additional_special_tokens: ['The'] }],
    [
      `additional_special_tokens.0: ${none}`,
      { extra_special_tokens: { end_token: token.content }, additional_special_tokens: ['The'] },
    ],
    ['model_specific_special_tokens must be a mapping', { model_specific_special_tokens: [token.content] }],
    [
      'special_tokens_map.json: "a_token" is beside model_specific_special_tokens',
      { model_specific_special_tokens: { own_token: token.content } },
      { special_tokens_map: { a_token: token.content } },
    ],
    ['additional_special_tokens must be a list', { additional_special_tokens: { end_token: token.content } }],
    [`tokenizer.json: padding.pad_token: ${none}`, {}, {}, { padding: { pad_token: 'The' } }],
    ['tokenizer_padding is not supported', { tokenizer_padding: { pad_token: 'The' } }],
    ['_json_truncation is not supported', { _json_truncation: { max_length: 1 } }],
    [`extra_special_tokens.image_token: ${none}`, { ...same, extra_special_tokens: { image_token: 'The' } }],
    [`model_specific_special_tokens.a_token: ${none}`, { model_specific_special_tokens: { a_token: 'The' } }],
    [
      'extra_special_tokens: "messages": a token\'s own name must end in _token',
      { extra_special_tokens: { messages: token.content } },
    ],
    [
      'extra_special_tokens: "eos_token": a token\'s own name must',
      { extra_special_tokens: { eos_token: token.content } },
    ],
    [
      'extra_special_tokens: "a_token": is another token than beside this mapping',
      { a_token: 'x', extra_special_tokens: { a_token: token.content } },
    ],
    ['split_special_tokens is not supported', { split_special_tokens: true }],
    ['split_special_tokens is not supported', { split_special_tokens: 1 }],
    ['fast_tokenizer_files is not supported', { fast_tokenizer_files: ['tokenizer.4.0.json'] }],
    [
      `special_tokens_map.json: pad_token: ${none}`,
      {},
      { special_tokens_map: { pad_token: { content: 'The' } } },
    ],
    ...[true, 1, 0, null, [1], token.content].map(
      (add_bos_token) =>
        ['"add_bos_token" is no special token', {}, { special_tokens_map: { add_bos_token } }] as [
          string,
          object,
          Record<string, object>,
        ],
    ),
    ['"a_token" is no special token', {}, { special_tokens_map: { a_token: 1 } }],
    [
      '"a_token" is another token than in tokenizer_config.json',
      { a_token: 'x' },
      { special_tokens_map: { a_token: token.content } },
      { added_tokens: [end, { ...end, id: 257, content: 'x' }] },
    ],
    [
      '"extra_special_tokens" is no special token',
      {},
      { special_tokens_map: { extra_special_tokens: { a_token: token.content } } },
    ],
    [
      '"split_special_tokens" is no special token',
      {},
      { special_tokens_map: { split_special_tokens: true } },
    ],
    [`added_tokens.json: tokens: ${none}`, {}, { added_tokens: { The: 7 } }],
  ])(
    'is refused by file and token where transformers would have others: %s',
    (message, config, files, fields) => {
      expect(badModelOf(opened(config, files, fields))).toContain(message);
    },
  );

  const configIn = (config: object, files: Record<string, object> = {}) => {
    const [, file] = opened(config, files)().files;
    return JSON.parse(new TextDecoder().decode(file!.bytes)) as object;
  };

  test('takes the end token of special_tokens_map.json as transformers does', () => {
    const map = { special_tokens_map: { eos_token: token } };
    expect(configIn({ eos_token: token.content }, map)).toEqual({ eos_token: token.content });
    expect(configIn({ model_max_length: 9 }, map)).toEqual({ model_max_length: 9, eos_token: token.content });
    expect(configIn({ ...same, eos_token: null }, map)).toEqual({ ...same, eos_token: null });
    expect(configIn({ eos_token: token.content }, { special_tokens_map: { eos_token: null } })).toEqual({
      eos_token: null,
    });
  });
});

describe('special tokens that transformers takes from the class of a model that names none', () => {
  const { added_tokens: own } = tinyTokenizer() as { added_tokens: object[] };
  const added_tokens = [...own, { ...own[0], id: 257, content: '<|endoftext|>' }];
  const chat_template = '{{ unk_token }}|{{ bos_token is defined }}|{{ pad_token is defined }}';
  const writtenBy = async (config: object, map?: object) => {
    const place = withFields({ added_tokens }, { chat_template, ...config });
    if (map !== undefined) writeFileSync(join(place, 'special_tokens_map.json'), JSON.stringify(map));
    const running = await openTokenizer(place, { model: { model_type: 'gpt2' } }).start();
    try {
      const { prefix } = running;
      return {
        prefix,
        ...(await running.write({ messages: [{ role: 'user', content: 'x' }], generationPrompt: false })),
      };
    } finally {
      running.close();
    }
  };

  // Values by transformers 5.24, AutoTokenizer.apply_chat_template.
  test.each<[string, object, object | undefined, string, number | undefined]>([
    ['are there', {}, undefined, '<|endoftext|>|True|False', 257],
    ['are not there with null', { bos_token: null, unk_token: null }, undefined, '|False|False', 257],
    ['are not there with null in the map', {}, { bos_token: null, unk_token: null }, '|False|False', 257],
    [
      'are not there by a class without any',
      { tokenizer_class: 'PreTrainedTokenizerFast' },
      undefined,
      '|False|False',
      undefined,
    ],
  ])('%s', async (_, config, map, text, prefix) => {
    expect(await writtenBy(config, map)).toMatchObject({ text, prefix });
  });
});
