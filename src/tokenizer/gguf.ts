import { z } from 'zod';
import { badModel } from '../api/index.ts';

type Json = Record<string, unknown>;

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

/** How `tokenizer.ggml.pre` splits text before byte-level BPE (llama.cpp, src/llama-vocab.cpp). */
const preTokenizers: Readonly<Record<string, readonly Json[]>> = {
  'gpt-2': [split(gpt2), byteLevel],
  default: [split(gpt2), byteLevel],
  smollm: [digitsOneByOne, split(gpt2), byteLevel],
  'llama-bpe': [split(cl100k('\\p{N}{1,3}')), byteLevel],
  qwen2: [split(cl100k('\\p{N}')), byteLevel],
};

const listsSchema = z.object({
  tokens: z.array(z.string()).min(1),
  token_type: z.array(z.number()).default([]),
  merges: z.array(z.string()).default([]),
});

/** ggml's token types that are matched as a whole: control (3) and user-defined (4). */
const control = 3;
const userDefined = 4;

/**
 * Turns the tokenizer inside GGUF metadata into the hub's tokenizer.json and tokenizer_config.json.
 * @throws OffsiteError BadModel naming a model or pre-tokeniser that is not supported
 */
export function fromGguf(metadata: Readonly<Record<string, unknown>>): { tokenizer: Json; config: Json } {
  const get = <T>(name: string) => metadata[`tokenizer.ggml.${name}`] as T | undefined;
  const model = get<string>('model');
  if (model !== 'gpt2')
    throw badModel(`GGUF tokenizer.ggml.model is ${model}; gpt2 (byte-level BPE) is supported`);
  const pre = get<string>('pre') ?? 'default';
  const preTokenizer = preTokenizers[pre];
  if (preTokenizer === undefined) {
    throw badModel(
      `GGUF tokenizer.ggml.pre is ${pre}; ${Object.keys(preTokenizers).join(', ')} are supported`,
    );
  }
  const lists = listsSchema.safeParse({
    tokens: get('tokens'),
    token_type: get('token_type'),
    merges: get('merges'),
  });
  if (!lists.success) {
    const [name] = lists.error.issues[0]?.path ?? [];
    throw badModel(`GGUF tokenizer.ggml.${String(name)} is missing or no list of the right type`);
  }
  const { tokens, token_type: types, merges } = lists.data;
  const token = (name: string) => tokens[get<number>(`${name}_token_id`) ?? -1];
  const bos = token('bos');
  const eos = token('eos');
  const added = tokens.flatMap((content, id) =>
    types[id] === control || types[id] === userDefined
      ? [
          {
            id,
            content,
            single_word: false,
            lstrip: false,
            rstrip: false,
            normalized: false,
            special: types[id] === control,
          },
        ]
      : [],
  );
  const addBos = get<boolean>('add_bos_token') === true && bos !== undefined;
  return {
    tokenizer: {
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: added,
      normalizer: null,
      pre_tokenizer: { type: 'Sequence', pretokenizers: preTokenizer },
      post_processor: addBos ? bosTemplate(bos, get<number>('bos_token_id') as number) : null,
      decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
      model: {
        type: 'BPE',
        dropout: null,
        unk_token: null,
        continuing_subword_prefix: null,
        end_of_word_suffix: null,
        fuse_unk: false,
        byte_fallback: false,
        vocab: Object.fromEntries(tokens.map((text, id) => [text, id])),
        merges: merges.map((merge) => merge.split(' ')),
      },
    },
    config: {
      tokenizer_class: 'PreTrainedTokenizerFast',
      ...(bos === undefined ? {} : { bos_token: bos }),
      ...(eos === undefined ? {} : { eos_token: eos }),
      clean_up_tokenization_spaces: false,
      ...('tokenizer.chat_template' in metadata
        ? { chat_template: metadata['tokenizer.chat_template'] }
        : {}),
    },
  };
}

function bosTemplate(bos: string, id: number): Json {
  const special = { SpecialToken: { id: bos, type_id: 0 } };
  return {
    type: 'TemplateProcessing',
    single: [special, { Sequence: { id: 'A', type_id: 0 } }],
    pair: [special, { Sequence: { id: 'A', type_id: 0 } }, special, { Sequence: { id: 'B', type_id: 1 } }],
    special_tokens: { [bos]: { id: bos, ids: [id], tokens: [bos] } },
  };
}
