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

const taking = { tokenizer_class: 'PreTrainedTokenizerFast' };

describe('a released tokenizer_config.json', () => {
  test.each<[string, object, object, string, object]>([
    [
      'Gemma',
      gemma,
      gemmaConfig,
      'gemma3_text',
      { unk_token: '<unk>', pad_token: '<pad>', mask_token: '<mask>' },
    ],
    ['GPT-2', gpt2, {}, 'gpt2', { unk_token: end, bos_token: end, eos_token: end }],
    ['OPT, by the class that it names', gpt2, gpt2Config, 'opt', { unk_token: end }],
    ['Qwen 3', qwen, qwenConfig, 'qwen3', { unk_token: end, pad_token: end }],
    ['Qwen 2', qwen, qwenConfig, 'qwen2', { unk_token: end, pad_token: end }],
    ['Qwen 3 that says null', qwen, { ...qwenConfig, unk_token: null }, 'qwen3', { pad_token: end }],
    ['a model that fills up', { ...gpt2, padding: { pad_token: end } }, {}, 'llama', { pad_token: end }],
    [
      'a model that fills up with what it names',
      { ...gpt2, padding: { pad_token: end } },
      { pad_token: '<pad>' },
      'llama',
      {},
    ],
    [
      'a class that has no padding token',
      { ...gpt2, padding: { pad_token: end } },
      gpt2Config,
      'gpt2',
      { unk_token: end },
    ],
    ['a class that takes the file', smollm2, taking, 'gpt2', {}],
    ['BLOOM', smollm2, { tokenizer_class: 'BloomTokenizerFast' }, 'bloom', {}],
    ['LLaMA without a class', smollm2, {}, 'llama', {}],
    ['Mistral', smollm2, { tokenizer_class: 'LlamaTokenizer' }, 'mistral', {}],
    ['a class whose parts are others: digits', smollm2, gpt2Config, 'llama', {}],
    ['a normalizer', { ...gpt2, normalizer: { type: 'NFC' } }, gpt2Config, 'llama', {}],
    [
      'merges that are passed over',
      { ...gpt2, model: { ...model, ignore_merges: true } },
      gpt2Config,
      'gpt2',
      {},
    ],
    ['another rule of blanks', gpt2, { ...gpt2Config, add_prefix_space: true }, 'gpt2', {}],
    [
      'a token that the class would add',
      { ...gpt2, added_tokens: [] },
      { tokenizer_class: 'GPT2Tokenizer' },
      'gpt2',
      {},
    ],
    ['a token of several', { ...gemma, added_tokens: added('<pad>') }, gemmaConfig, 'gemma2', {}],
  ])(
    'of %s takes the file as it is, with the tokens that its class alone has',
    (_, tokenizer, config, type, tokens) => {
      const { config: released, tokens: named } = releasedConfig(
        { ...tokenizer },
        { ...config },
        { model_type: type },
      );
      const list = Object.fromEntries(
        (tokenizer as typeof gpt2).added_tokens.map(({ id, ...token }) => [id, token]),
      );
      const { pre_tokenizer } = tokenizer as { pre_tokenizer: { add_prefix_space?: boolean } };
      const { add_prefix_space } = pre_tokenizer;
      const own = add_prefix_space === undefined ? {} : { add_prefix_space };
      expect(released).toEqual({ ...config, ...own, ...tokens, added_tokens_decoder: list, ...taking });
      const said = Object.entries(config).filter(
        ([name, token]) => name.endsWith('_token') && token !== null,
      );
      expect(named).toEqual({ ...Object.fromEntries(said), ...tokens });
    },
  );

  // Names by transformers 5.24, AutoTokenizer.apply_chat_template.
  const marked = { __type: 'AddedToken', content: end, lstrip: false };
  test.each<[string, object, object]>([
    ['a text', { own_token: end }, { own_token: end }],
    ['a marked object', { own_token: marked, eos_token: marked }, { own_token: end, eos_token: end }],
    ['no object without a mark', { own_token: { content: end } }, {}],
    ['a mapping', { extra_special_tokens: { own_token: end } }, { own_token: end }],
    [
      'both of these',
      { a_token: end, extra_special_tokens: { own_token: marked } },
      { a_token: end, own_token: end },
    ],
    [
      'a mapping of the model',
      { eos_token: end, model_specific_special_tokens: { own_token: end } },
      { eos_token: end, own_token: end },
    ],
    [
      'none of that beside another name',
      { a_token: end, model_specific_special_tokens: { own_token: end } },
      { a_token: end },
    ],
    [
      'none of that beside a mapping',
      { extra_special_tokens: { a_token: end }, model_specific_special_tokens: { own_token: end } },
      { a_token: end },
    ],
    ['no switch', { add_bos_token: end, add_eos_token: end }, {}],
    ['no list', { extra_special_tokens: [end], additional_special_tokens: [end] }, {}],
  ])('names by its own %s', (_, config, names) => {
    const { config: released, tokens } = releasedConfig({ ...gpt2 }, { ...config } as never, {
      model_type: 'llama',
    });
    expect(tokens).toEqual(names);
    const standard = Object.entries(names).filter(([name]) => /^(bos|eos)_token$/.test(name));
    expect(released).toMatchObject(Object.fromEntries(standard));
    const own = Object.entries(names).filter(([name]) => !/^(bos|eos)_token$/.test(name));
    expect(released['extra_special_tokens']).toEqual(own.length === 0 ? undefined : Object.fromEntries(own));
  });

  test('has none of the settings that could make another tokenizer, and every added token where it has a list', () => {
    const plain = { ...taking, eos_token: end, own_token: '<own>', model_max_length: 8, chat_template: 'x' };
    const others = {
      ...{
        tokenizer_file: '/etc/passwd',
        auto_map: {},
        backend: 'x',
        post_processor: {},
        vocab: {},
        errors_: 1,
      },
      ...{ model_specific_special_tokens: { a_token: end }, added_tokens_decoder: {} },
    };
    const tokenizer = { ...gpt2, added_tokens: added(end, '<own>') };
    expect(releasedConfig(tokenizer, { ...plain, ...others }, { model_type: 'gpt2' }).config).toEqual({
      ...plain,
      own_token: undefined,
      extra_special_tokens: { own_token: '<own>' },
      add_prefix_space: false,
      added_tokens_decoder: {
        0: { content: end, special: true },
        1: { content: '<own>', special: true },
      },
    });
  });

  test.each<[string, object, object]>([
    ['parts', smollm2, taking],
    [
      'a token by other rules',
      { ...qwen, added_tokens: [{ ...added(end)[0], lstrip: true }] },
      { eos_token: end },
    ],
    [
      'one of a list by other rules',
      { ...qwen, added_tokens: [...added(end), { id: 9, content: '<x>', special: true, normalized: true }] },
      { eos_token: end, additional_special_tokens: ['<x>'] },
    ],
  ])(
    'says where no class helps: transformers makes %s of Qwen 2 anew whatever is named',
    (_, tokenizer, config) => {
      expect(releasedConfig({ ...tokenizer }, config as never, { model_type: 'qwen2' })).toMatchObject({
        remade: 'Qwen2Tokenizer',
      });
      expect(releasedConfig({ ...tokenizer }, config as never, { model_type: 'qwen3' })).not.toHaveProperty(
        'remade',
      );
    },
  );

  test.each([
    [{ extra_special_tokens: [end] }, [end]],
    [{ additional_special_tokens: [end] }, [end]],
    [{ extra_special_tokens: [], additional_special_tokens: [end] }, [end]],
    [{ extra_special_tokens: { a_token: end }, additional_special_tokens: [end] }, [end]],
    [{ extra_special_tokens: [] }, undefined],
  ])('%j: the list has the name that transformers 4 and 5 know', (config, list) => {
    const { config: released } = releasedConfig({ ...gpt2 }, { ...taking, ...config } as never, {});
    expect(released['additional_special_tokens']).toEqual(list);
    expect(Array.isArray(released['extra_special_tokens'])).toBe(false);
  });
});
