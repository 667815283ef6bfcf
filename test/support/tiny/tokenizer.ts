import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Tokenizer } from '../../../src/tokenizer/index.ts';

const endToken = '<|end|>';

/** How many tokens the tiny tokenizer has: the 256 bytes and an end token. */
export const tinyVocabulary = 257;

/** A byte-level tokenizer.json: one token a byte, so that any text has tokens and its length is its bytes. */
export function tinyTokenizer(): object {
  const vocabulary = Object.fromEntries([...byteCharacters(), endToken].map((text, id) => [text, id]));
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [
      {
        id: tinyVocabulary - 1,
        content: endToken,
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
        special: true,
      },
    ],
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: null,
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: { type: 'BPE', dropout: null, unk_token: null, vocab: vocabulary, merges: [] },
  };
}

/** Writes it, with its configuration. */
export function writeTinyTokenizer(directory: string): void {
  const config = { tokenizer_class: 'PreTrainedTokenizerFast', eos_token: endToken };
  writeFileSync(join(directory, 'tokenizer.json'), JSON.stringify(tinyTokenizer()));
  writeFileSync(join(directory, 'tokenizer_config.json'), JSON.stringify(config));
}

/** The printable character that stands for each byte in byte-level BPE: itself, or one after U+00FF. */
function byteCharacters(): string[] {
  const itself = (byte: number) =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(itself(byte) ? byte : next++));
}

/** The ids that a tokenizer gives to texts, with its own special tokens. */
export async function idsOf(tokenizer: Tokenizer, texts: readonly string[]): Promise<number[][]> {
  const running = await tokenizer.start();
  try {
    const encodings = await Promise.all(texts.map((text) => running.encode(text)));
    return encodings.map(({ ids }) => [...ids]);
  } finally {
    running.close();
  }
}
