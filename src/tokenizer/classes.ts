// Which class of transformers 5 takes tokenizer.json as it is, and which makes parts of it anew (its tokenization_auto.py and classes).
import { namedTokens, standardTokens, textsNamed } from './beside.ts';
import { addedTokens, fillingToken, type Json, matchingRules } from './layout.ts';

/** What config.json says that decides on the class. */
export interface ModelKind {
  readonly model_type?: unknown;
  readonly tokenizer_class?: unknown;
}

/** What transformers makes of a model's tokenizer, and what a released model says of it. */
export interface ReleasedConfig {
  /** tokenizer_config.json with what is known to leave tokenizer.json as it is, and a class that takes it so. */
  readonly config: Json;
  /** Special tokens by the names that chat templates have for them, those too that only transformers' class names. */
  readonly tokens: Readonly<Record<string, string>>;
  /** The class that transformers takes whatever a file says, where it makes other parts than tokenizer.json has. */
  readonly remade?: string;
}

/** What both transformers 4 and 5 take. */
const asItIs = 'PreTrainedTokenizerFast';
const takingFiles = new Set([asItIs, 'TokenizersBackend', 'BloomTokenizer', 'BloomTokenizerFast']);
/** Of models of these types tokenizer.json is taken as it is, whatever the class. */
const takingTypes = new Set(['mistral', 'phi3']);
/** Where no file names a class. */
const classes: Readonly<Record<string, string>> = {
  gemma2: 'GemmaTokenizer',
  gemma3: 'GemmaTokenizer',
  gemma3_text: 'GemmaTokenizer',
  gpt2: 'GPT2Tokenizer',
  opt: 'GPT2Tokenizer',
  gpt_neox: 'GPTNeoXTokenizer',
  qwen2: 'Qwen2Tokenizer',
  qwen3: 'Qwen2Tokenizer',
};
/** Of models of this type this class is taken, whatever a file says. */
const fixed: Readonly<Record<string, string>> = { qwen2: 'Qwen2Tokenizer' };

export function releasedConfig(tokenizer: Json, config: Json, model: ModelKind): ReleasedConfig {
  const type = String(model.model_type);
  const named = config['tokenizer_class'] ?? model.tokenizer_class;
  const name = fixed[type] ?? (typeof named === 'string' ? named : classes[type]);
  const taken = name === undefined || takingFiles.has(name) || takingTypes.has(type);
  const parts = taken ? undefined : partsOf(name.replace(/Fast$/, ''), config);
  const same = parts !== undefined && areIn(tokenizer, config, parts);
  const unsaid = unnamed(same ? parts.tokens : paddingToken(tokenizer), config);
  const tokens = { ...unsaid, ...namedTokens(config) };
  const released = releasedOf(tokenizer, config, tokens);
  const isRemade = type in fixed && !(same && areFlagsPlain(tokenizer, released));
  return { config: released, tokens, ...(isRemade ? { remade: fixed[type]! } : {}) };
}

/** transformers takes every other setting, too, as one of the class; of these none makes another tokenizer. */
const kept = new Set([
  ...['add_bos_token', 'add_eos_token', 'add_prefix_space', 'split_special_tokens', 'legacy'],
  ...['chat_template', 'response_schema', 'use_default_system_prompt'],
  ...['clean_up_tokenization_spaces', 'spaces_between_special_tokens', 'errors'],
  ...['model_input_names', 'model_max_length', 'padding_side', 'truncation_side'],
]);

/**
 * With every token that has a name once, by its text, so that transformers 4 and 5 give chat templates these names and no others;
 * names of its own are a mapping, lists of more tokens have their older name, which are what transformers 4 takes, too.
 */
function releasedOf(tokenizer: Json, config: Json, tokens: ReleasedConfig['tokens']): Json {
  const settings = Object.entries(config).filter(
    ([name, value]) => kept.has(name) || (value === null && standardTokens.has(name)),
  );
  const named = Object.entries(tokens);
  const own = named.filter(([name]) => !standardTokens.has(name));
  const { extra_special_tokens: newer, additional_special_tokens: older } = config;
  const list = [newer, older].find((more) => Array.isArray(more) && more.length > 0);
  const { add_prefix_space } = (tokenizer['pre_tokenizer'] ?? {}) as { add_prefix_space?: unknown };
  return {
    ...Object.fromEntries(settings),
    // transformers 4 gives the file's own part what stands here, and false where nothing does.
    ...(typeof add_prefix_space === 'boolean' ? { add_prefix_space } : {}),
    ...Object.fromEntries(named.filter(([name]) => standardTokens.has(name))),
    ...(own.length > 0 ? { extra_special_tokens: Object.fromEntries(own) } : {}),
    ...(list === undefined ? {} : { additional_special_tokens: list }),
    // All of them, so that no class has fewer, and no file beside is asked for others.
    added_tokens_decoder: Object.fromEntries(addedTokens(tokenizer).map(({ id, ...token }) => [id, token])),
    tokenizer_class: asItIs,
  };
}

/** Without a name of its own the padding token is the one that tokenizer.json fills up with. */
function paddingToken(tokenizer: Json): Readonly<Record<string, string>> {
  const token = fillingToken(tokenizer);
  const isOwn = addedTokens(tokenizer).some(({ content }) => content === token);
  return token !== undefined && isOwn ? { pad_token: token } : {};
}

/** A configuration's null takes a token away. */
function unnamed(tokens: Parts['tokens'], config: Json): Parts['tokens'] {
  return Object.fromEntries(Object.entries(tokens).filter(([name]) => !Object.hasOwn(config, name)));
}

const qwenWords =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

interface Parts {
  readonly normalizer: object | null;
  readonly pre_tokenizer: object;
  readonly model: {
    readonly unk_token: string | null;
    readonly fuse_unk: boolean;
    readonly byte_fallback: boolean;
  };
  /** Tokens that it has where the configuration names none. */
  readonly tokens: Readonly<Record<string, string>>;
}

/** The parts that a class makes; of the others none is known to be tokenizer.json's. */
function partsOf(name: string, config: Json): Parts | undefined {
  const add_prefix_space = config['add_prefix_space'] === true;
  const bytes = (use_regex: boolean) => ({ type: 'ByteLevel', add_prefix_space, use_regex });
  const plain = { unk_token: null, fuse_unk: false, byte_fallback: false };
  const end = '<|endoftext|>';
  switch (name) {
    case 'GPT2Tokenizer':
      return {
        normalizer: null,
        pre_tokenizer: bytes(true),
        model: plain,
        tokens: { unk_token: end, bos_token: end, eos_token: end },
      };
    case 'Qwen2Tokenizer': {
      const words = { type: 'Split', pattern: { Regex: qwenWords }, behavior: 'Isolated', invert: false };
      return {
        normalizer: { type: 'NFC' },
        pre_tokenizer: { type: 'Sequence', pretokenizers: [words, bytes(false)] },
        model: plain,
        tokens: { unk_token: end, eos_token: end, pad_token: end },
      };
    }
    case 'GemmaTokenizer': {
      const own = ['unk', 'bos', 'eos', 'pad', 'mask'].map((token) => [`${token}_token`, `<${token}>`]);
      return {
        normalizer: { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
        pre_tokenizer: {
          type: 'Split',
          pattern: { String: ' ' },
          behavior: 'MergedWithPrevious',
          invert: false,
        },
        model: { unk_token: '<unk>', fuse_unk: true, byte_fallback: true },
        tokens: Object.fromEntries(own) as Record<string, string>,
      };
    }
    default:
      return undefined;
  }
}

/** Whether these parts are the file's own: then the class changes nothing. */
function areIn(tokenizer: Json, config: Json, parts: Parts): boolean {
  const own = new Set(addedTokens(tokenizer).map(({ content }) => content));
  const hasTokens = Object.values(unnamed(parts.tokens, config)).every((text) => own.has(text));
  const isSame = (part: 'normalizer' | 'pre_tokenizer') =>
    written(tokenizer[part] ?? null) === written(parts[part]);
  const model = (tokenizer['model'] ?? {}) as Json;
  const unset = ['dropout', 'continuing_subword_prefix', 'end_of_word_suffix', 'ignore_merges'];
  return (
    hasTokens &&
    isSame('normalizer') &&
    isSame('pre_tokenizer') &&
    model['type'] === 'BPE' &&
    unset.every((field) => !model[field]) &&
    Object.entries(parts.model).every(([field, value]) => (model[field] || null) === (value || null))
  );
}

/** Whether tokens that a class adds anew, by their texts alone, are matched as tokenizer.json matches them. */
function areFlagsPlain(tokenizer: Json, config: Json): boolean {
  const named = new Set(textsNamed(config));
  return addedTokens(tokenizer).every(
    (token) => !named.has(token.content) || matchingRules.every((rule) => !token[rule]),
  );
}

/** Without what changes offsets only; a field that an older file leaves out is what the library takes then. */
function written(part: unknown): string {
  return JSON.stringify(part, (_, value: unknown) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
    const { trim_offsets: _offsets, ...fields } = value as Json;
    const all = fields['type'] === 'ByteLevel' ? { use_regex: true, ...fields } : fields;
    return Object.fromEntries(Object.entries(all).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}
