// Conversion of GGUF's byte-level BPE, the tokenizer of GPT-2 and its successors.
import { badModel, printable } from '../api/index.ts';
import type { GgufTokenizer, Parts } from './gguf-parts.ts';
import type { Json } from './layout.ts';

/** GPT-2's pre-tokenisation pattern (openai/gpt-2, encoder.py). */
const gpt2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
/** LLaMA 3's, with digits in threes; Qwen2 has them one by one. */
const cl100k = (digits: string) =>
  `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;

const split = (pattern: string) => ({
  type: 'Split',
  pattern: { Regex: pattern },
  behavior: 'Isolated',
  invert: false,
});
const digitsOneByOne = { type: 'Digits', individual_digits: true };
const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false };

/** The characters that stand for bytes, which have printable ones of their own (openai/gpt-2, encoder.py). */
const byteCharacters = Array.from({ length: 256 }, (_, byte) => {
  const isPrintable = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
  if (isPrintable) return String.fromCharCode(byte);
  const before = byte <= 0x20 ? byte : byte === 0xad ? 0x43 : byte - 0x7f + 0x21;
  return String.fromCharCode(0x100 + before);
});
const escaped = (character: string) => `\\x{${character.charCodeAt(0).toString(16)}}`;

interface Splitting {
  readonly pretokenizers: readonly Json[];
  /** Whether a word that is a token as it stands is taken before anything is merged, and BOS stands before a text. */
  readonly wholeWordsAndBos?: true;
}

/** How `tokenizer.ggml.pre` splits text before byte-level BPE (llama.cpp, src/llama-vocab.cpp). */
const splittings: Readonly<Record<string, Splitting>> = {
  'gpt-2': { pretokenizers: [split(gpt2), byteLevel] },
  // Of what nothing is known: signs, then words, then digits in threes, each within what the one before has left.
  default: {
    pretokenizers: [
      split('[\\p{P}\\$\\+<=>\\^~\\|]+'),
      split(gpt2),
      split('\\p{N}+'),
      split('[0-9][0-9][0-9]'),
      byteLevel,
    ],
  },
  smollm: { pretokenizers: [digitsOneByOne, split(gpt2), byteLevel] },
  'llama-bpe': { pretokenizers: [split(cl100k('\\p{N}{1,3}')), byteLevel], wholeWordsAndBos: true },
  qwen2: { pretokenizers: [split(cl100k('\\p{N}')), byteLevel] },
};

/**
 * Byte-level BPE with its list of merges.
 * @throws OffsiteError BadModel naming a splitting that is not known
 */
export function byteLevelParts({ tokens, merges, get }: GgufTokenizer): Parts {
  const pre = get<string>('pre') ?? 'default';
  const splitting = splittings[pre];
  if (splitting === undefined)
    throw badModel(
      `GGUF tokenizer.ggml.pre is ${printable(String(pre))}; ${Object.keys(splittings).join(', ')} are supported`,
    );
  const { pretokenizers, wholeWordsAndBos = false } = splitting;
  const known = new Set(tokens);
  const unwritten = byteCharacters.filter((character) => !known.has(character));
  if (wholeWordsAndBos && unwritten.length > 0)
    throw badModel(
      `GGUF tokenizer.ggml.tokens: ${unwritten.length} bytes have no token, which is not supported with tokenizer.ggml.pre ${pre}`,
    );
  // A byte that has no token is dropped, and nothing is joined across it.
  const apart = unwritten.length === 0 ? [] : [split(unwritten.map(escaped).join('|'))];
  return {
    normalizer: null,
    pre_tokenizer: { type: 'Sequence', pretokenizers: [...pretokenizers, ...apart] },
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ...(wholeWordsAndBos ? { ignore_merges: true } : {}),
      vocab: Object.fromEntries(tokens.map((text, id) => [text, id])),
      // One that stands there again keeps its first rank.
      merges: Array.from(new Set(merges), (merge) => merge.split(' ')),
    },
    takesBos: wholeWordsAndBos,
  };
}
