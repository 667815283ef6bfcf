import { describe, expect, test } from 'vitest';
import { releasedConfig } from '../../../src/tokenizer/classes.ts';

// Each was held against transformers 5.24: which class opens the tokenizer of a model of this type, and the parts that it makes.
const end = '<|endoftext|>';
const added = (...names: string[]) => names.map((content, id) => ({ id, content, special: true }));
const bytes = (more = {}) => ({ type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, ...more });
const model = { type: 'BPE', dropout: null, unk_token: null, end_of_word_suffix: '', fuse_unk: false };
const gpt2 = { normalizer: null, pre_tokenizer: bytes(), model, added_tokens: added(end) };
const smollm2 = {
  ...gpt2,
  pre_tokenizer: { type: 'Sequence', pretokenizers: [{ type: 'Digits', individual_digits: true }, bytes()] },
};
const words =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const qwen = {
  normalizer: { type: 'NFC' },
  pre_tokenizer: {
    type: 'Sequence',
    pretokenizers: [
      { type: 'Split', pattern: { Regex: words }, behavior: 'Isolated', invert: false },
      bytes({ use_regex: false }),
    ],
  },
  model,
  added_tokens: added(end, '<|im_end|>'),
};
const gemma = {
  normalizer: { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
  pre_tokenizer: { type: 'Split', pattern: { String: ' ' }, behavior: 'MergedWithPrevious', invert: false },
  model: { type: 'BPE', unk_token: '<unk>', fuse_unk: true, byte_fallback: true, ignore_merges: false },
  added_tokens: added('<pad>', '<eos>', '<bos>', '<unk>', '<mask>'),
};
const gemmaConfig = { tokenizer_class: 'GemmaTokenizerFast', bos_token: '<bos>', eos_token: '<eos>' };
const gpt2Config = { tokenizer_class: 'GPT2Tokenizer', bos_token: end, eos_token: end };
const qwenConfig = { tokenizer_class: 'Qwen2Tokenizer', eos_token: '<|im_end|>' };

describe('a released tokenizer_config.json', () => {
  test.each<[string, object, object, string]>([
    ['of Gemma', gemma, gemmaConfig, 'gemma3_text'],
    ['of GPT-2', gpt2, gpt2Config, 'gpt2'],
    ['of Qwen 3', qwen, qwenConfig, 'qwen3'],
    ['of Qwen 2', qwen, qwenConfig, 'qwen2'],
    [
      'that names a class which takes the file',
      smollm2,
      { tokenizer_class: 'PreTrainedTokenizerFast' },
      'gpt2',
    ],
    ['of BLOOM', smollm2, { tokenizer_class: 'BloomTokenizerFast' }, 'bloom'],
    ['of LLaMA without a class', smollm2, {}, 'llama'],
    ['of Mistral', smollm2, { tokenizer_class: 'LlamaTokenizer' }, 'mistral'],
    ['of Phi-3', smollm2, { tokenizer_class: 'LlamaTokenizer' }, 'phi3'],
  ])('%s is as it was: its class makes the same parts, or none', (_, tokenizer, config, type) => {
    expect(releasedConfig({ ...tokenizer }, { ...config }, { model_type: type })).toMatchObject({ config });
  });

  test.each<[string, object, object, string]>([
    ['digits that the class keeps together', smollm2, gpt2Config, 'llama'],
    ['a normalizer', { ...gpt2, normalizer: { type: 'NFC' } }, gpt2Config, 'llama'],
    [
      'merges that are passed over',
      { ...gpt2, model: { ...model, ignore_merges: true } },
      gpt2Config,
      'gpt2',
    ],
    ['another rule of blanks', gpt2, { ...gpt2Config, add_prefix_space: true }, 'gpt2'],
    [
      'no end token, and the class would add one',
      { ...gpt2, added_tokens: [] },
      { tokenizer_class: 'GPT2Tokenizer' },
      'gpt2',
    ],
    ['no class, and the type has one', smollm2, { bos_token: end, eos_token: end }, 'opt'],
    ['a class that is not known here', gpt2, { tokenizer_class: 'LlamaTokenizerFast' }, 'llama'],
    ['a token that the class adds', { ...gemma, added_tokens: added('<pad>') }, gemmaConfig, 'gemma2'],
  ])('with %s names the class that takes tokenizer.json as it is', (_, tokenizer, config, type) => {
    expect(releasedConfig({ ...tokenizer }, { ...config }, { model_type: type })).toEqual({
      config: { ...config, tokenizer_class: 'PreTrainedTokenizerFast' },
      tokens: {},
    });
  });

  test.each<[string, object, object, string, object]>([
    ['GPT-2', gpt2, {}, 'gpt2', { unk_token: end, bos_token: end, eos_token: end }],
    ['OPT, by the class that it names', gpt2, gpt2Config, 'opt', { unk_token: end }],
    ['Qwen 3', qwen, qwenConfig, 'qwen3', { unk_token: end, pad_token: end }],
    ['Qwen 3 that says null', qwen, { ...qwenConfig, unk_token: null }, 'qwen3', { pad_token: end }],
    [
      'Gemma',
      gemma,
      gemmaConfig,
      'gemma3_text',
      { unk_token: '<unk>', pad_token: '<pad>', mask_token: '<mask>' },
    ],
    [
      'LLaMA with a class that takes the file',
      gpt2,
      { tokenizer_class: 'PreTrainedTokenizerFast' },
      'llama',
      {},
    ],
  ])('of %s has the tokens that its class alone names', (_, tokenizer, config, type, tokens) => {
    expect(releasedConfig({ ...tokenizer }, { ...config }, { model_type: type })).toEqual({ config, tokens });
  });

  test('takes the class of config.json where it has none', () => {
    const kind = { model_type: 'llama', tokenizer_class: 'GPT2Tokenizer' };
    expect(releasedConfig({ ...smollm2 }, {}, kind).config).toEqual({
      tokenizer_class: 'PreTrainedTokenizerFast',
    });
  });

  test('says where no class helps: transformers makes the parts of Qwen 2 anew whatever is named', () => {
    const config = { tokenizer_class: 'PreTrainedTokenizerFast' };
    expect(releasedConfig({ ...smollm2 }, config, { model_type: 'qwen2' })).toEqual({
      config,
      tokens: {},
      remade: 'Qwen2Tokenizer',
    });
  });
});
