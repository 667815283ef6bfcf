import { describe, expect, test } from 'vitest';
import { fromGguf } from '../../../src/tokenizer/gguf.ts';
import { Encoder } from '../../../src/tokenizer/program/encoder.ts';
import { crcsOf, type Layout, layouts, reference, texts, unpacked } from '../../support/golden/tokenizers.ts';

const plain = { specialTokens: true, offsets: false };

/** How many texts have other ids than the reference gives them, and the first of these. */
async function differing(tokenizer: unknown, expected: string): Promise<[count: number, first?: string]> {
  const { ids, lengths } = await new Encoder(JSON.stringify(tokenizer)).encode(texts, plain);
  const crcs = unpacked(expected);
  const different = crcsOf(ids, lengths).flatMap((crc, i) => (crc === crcs[i] ? [] : [texts[i]!]));
  return different.length === 0 ? [0] : [different.length, different[0]!];
}

describe('every layout in use gives every text the ids of the reference', () => {
  test('of 2,600 texts and 22 layouts', () => {
    expect([texts.length, layouts.length]).toEqual([2600, 22]);
  });

  test.each(layouts)('%s', async (name) => {
    const { tokenizer, crcs } = reference<Layout>(name);
    expect(await differing(tokenizer, crcs)).toEqual([0]);
  });
});

describe('tokenizers inside GGUF', () => {
  const metadata = (fields: Record<string, unknown>) =>
    Object.fromEntries(Object.entries(fields).map(([name, value]) => [`tokenizer.ggml.${name}`, value]));

  test('SentencePiece BPE gives the ids of sentencepiece itself', async () => {
    const { tokens, scores, types, crcs } = reference<{
      tokens: string[];
      scores: number[];
      types: number[];
      crcs: string;
    }>('gguf-sentencepiece');
    const { tokenizer } = fromGguf(
      metadata({ model: 'llama', tokens, scores, token_type: types, bos_token_id: 1, eos_token_id: 2 }),
    );
    expect(await differing(tokenizer, crcs)).toEqual([0]);
  });

  test('Llama 3 takes whole words before it merges, and puts BOS in front', async () => {
    const { tokenizer: hub, crcs } = reference<Layout>('llama3');
    const { vocab, merges } = hub['model'] as { vocab: Record<string, number>; merges: string[][] };
    const tokens = Object.keys(vocab).sort((a, b) => vocab[a]! - vocab[b]!);
    const inside = {
      model: 'gpt2',
      pre: 'llama-bpe',
      tokens,
      token_type: tokens.map((token) => (/^<\|/.test(token) ? 3 : 1)),
      merges: merges.map((pair) => pair.join(' ')),
      bos_token_id: 0,
      eos_token_id: 1,
    };
    expect(await differing(fromGguf(metadata(inside)).tokenizer, crcs)).toEqual([0]);
  });
});
