// What lies beside tokenizer.json and must not make another tokenizer of it in transformers.
import { badModel, printableJson } from '../api/index.ts';
import { type AddedToken, addedTokens, type Json } from './layout.ts';

/** What transformers builds a tokenizer of beside tokenizer.json, each with the name that errors have for it. */
export interface BesideFiles {
  readonly config: { readonly file: string; readonly value: Json };
  /** special_tokens_map.json and added_tokens.json: read where the configuration has no `added_tokens_decoder`. */
  readonly specialTokensMap?: BesideFiles['config'] | undefined;
  readonly addedTokens?: BesideFiles['config'] | undefined;
}

/**
 * Checks that every token that these files add is one of tokenizer.json's own, matched by the same rules: else transformers
 * (5.24, tokenization_utils_tokenizers.py) would cut a text into other tokens than tokenizer.json alone does.
 * @throws OffsiteError BadModel naming file, field and token
 */
export function checkBeside(
  tokenizer: Json,
  { config, specialTokensMap, addedTokens: numbered }: BesideFiles,
): void {
  const own = new Map(addedTokens(tokenizer).map((token) => [token.content, token]));
  const normalizes = tokenizer['normalizer'] !== null && tokenizer['normalizer'] !== undefined;
  const wrong = ({ file, field, content }: Named, why: string) =>
    badModel(
      `${file}: ${field}: token ${printableJson(content.slice(0, mostShown))} ${why}: transformers would cut a text into other tokens with it; make both files by one save_pretrained, or take it out`,
    );
  const checkThere = (named: Named) => {
    if (!own.has(named.content)) throw wrong(named, "is none of tokenizer.json's added_tokens");
  };
  const checkSame = (named: Named, flags: Partial<AddedToken>) => {
    checkThere(named);
    const token = own.get(named.content)!;
    for (const flag of ['lstrip', 'rstrip', 'single_word', 'normalized'] as const) {
      if (flag === 'normalized' && !normalizes) continue;
      const otherwise = flag === 'normalized' && !(flags.special ?? false);
      if ((flags[flag] ?? otherwise) !== (token[flag] ?? false))
        throw wrong(named, `has another ${flag} than in tokenizer.json's added_tokens`);
    }
  };
  checkSettings(config);
  const { added_tokens_decoder: decoder } = config.value;
  for (const [id, token] of entriesOf(decoder)) {
    const { content, ...flags } = (token ?? {}) as Partial<AddedToken>;
    if (typeof content !== 'string') continue;
    checkSame({ file: config.file, field: `added_tokens_decoder.${id}`, content }, flags);
  }
  for (const named of namedIn(config)) checkThere(named);
  if (decoder !== undefined) return;
  if (specialTokensMap !== undefined) {
    checkMap(specialTokensMap);
    for (const named of namedIn(specialTokensMap)) checkThere(named);
  }
  if (numbered === undefined) return;
  for (const [content, id] of entriesOf(numbered.value)) {
    const named = { file: numbered.file, field: 'tokens', content };
    checkThere(named);
    const { special, ...token } = own.get(content)!;
    // tokenizer.json's own token of the same number stands in its place.
    if (token.id !== id) checkSame(named, { special });
  }
}

const mostShown = 80;

/** A token of a file, by its text, and where it stands there. */
interface Named {
  readonly file: string;
  readonly field: string;
  readonly content: string;
}

/** The tokens that a file names: `pad_token` and its like, and lists of more. */
function namedIn({ file, value }: BesideFiles['config']): Named[] {
  const {
    extra_special_tokens: extra,
    additional_special_tokens: more,
    model_specific_special_tokens,
  } = value;
  // The older name counts where the newer has nothing.
  const lists = { extra_special_tokens: isEmpty(extra) ? more : extra, model_specific_special_tokens };
  const single = Object.entries(value).filter(([name]) => name.endsWith('_token'));
  const listed = Object.entries(lists).flatMap(([name, list]) =>
    entriesOf(list).map(([key, token]) => [`${name}.${key}`, token] as const),
  );
  return [...single, ...listed].flatMap(([field, token]) => {
    const content = typeof token === 'string' ? token : (token as { content?: unknown } | null)?.content;
    return typeof content === 'string' && content !== '' ? [{ file, field, content }] : [];
  });
}

const isEmpty = (list: unknown) => entriesOf(list).length === 0;

const entriesOf = (value: unknown): [string, unknown][] =>
  typeof value === 'object' && value !== null ? Object.entries(value) : [];

/** Settings with which a text has other tokens. */
function checkSettings({ file, value }: BesideFiles['config']): void {
  for (const name of ['split_special_tokens', 'fix_mistral_regex', 'fast_tokenizer_files'])
    if (value[name])
      throw badModel(
        `${file}: ${name} is not supported: transformers would cut a text into other tokens than tokenizer.json does`,
      );
}

/** transformers takes any setting from this file, those too that it does not take from the configuration. */
function checkMap({ file, value }: BesideFiles['config']): void {
  for (const [name, token] of Object.entries(value)) {
    const isList = /^(extra|additional)_special_tokens$/.test(name);
    if (!isList && !(name.endsWith('_token') && typeof token !== 'boolean'))
      throw badModel(`${file}: ${printableJson(name.slice(0, mostShown))} is no special token`);
  }
}
