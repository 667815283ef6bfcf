// What lies beside tokenizer.json and must not make another tokenizer of it in transformers.
import { badModel, printableJson } from '../api/index.ts';
import { type AddedToken, addedTokens, fillingToken, type Json, matchingRules } from './layout.ts';

/** What transformers builds a tokenizer of beside tokenizer.json, each with the name that errors have for it. */
export interface BesideFiles {
  readonly config: { readonly file: string; readonly value: Json };
  /** special_tokens_map.json and added_tokens.json: read where the configuration has no `added_tokens_decoder`. */
  readonly specialTokensMap?: BesideFiles['config'] | undefined;
  readonly addedTokens?: BesideFiles['config'] | undefined;
}

/** What transformers names in every tokenizer; a configuration may name more. */
export const standardTokens: ReadonlySet<string> = new Set(
  ['bos', 'eos', 'unk', 'sep', 'pad', 'cls', 'mask'].map((name) => `${name}_token`),
);

/**
 * The configuration as transformers completes it: without `added_tokens_decoder` what special_tokens_map.json names takes the
 * place of what the configuration names.
 */
export function configOf({ config: { value }, specialTokensMap: map }: BesideFiles): Json {
  if (value['added_tokens_decoder'] !== undefined || map === undefined) return value;
  const others = Object.entries(map.value)
    .filter(
      ([name, token]) =>
        name.endsWith('_token') && (!Object.hasOwn(value, name) || textOf(token) !== textOf(value[name])),
    )
    .map(([name, token]) => [name, textOf(token) ?? null] as const);
  return others.length === 0 ? value : { ...value, ...Object.fromEntries(others) };
}

/** The names by which a chat template writes special tokens, with the text of each. */
export function namedTokens(config: Json): Record<string, string> {
  const single = Object.fromEntries(Object.entries(config).filter(isNamed));
  const extra = isMapping(config['extra_special_tokens']) ? (config['extra_special_tokens'] as Json) : {};
  const named = { ...single, ...extra };
  const isOwn = ([name, token]: [string, unknown]) =>
    !standardTokens.has(name) && textOf(token) !== undefined;
  // Any other name of its own takes the place of this whole mapping.
  const specific = Object.entries(named).some(isOwn) ? {} : (config['model_specific_special_tokens'] as Json);
  const texts = Object.entries({ ...named, ...specific }).map(([name, token]) => [name, textOf(token)]);
  return Object.fromEntries(texts.filter(([, text]) => text !== undefined));
}

/** Of names of its own only texts and marked objects count. */
function isNamed([name, token]: [string, unknown]): boolean {
  // Whether BOS and end token are added tokenizer.json alone says.
  if (!name.endsWith('_token') || name === 'add_bos_token' || name === 'add_eos_token') return false;
  const isMarked = (token as { __type?: unknown } | null)?.__type === 'AddedToken';
  return standardTokens.has(name) || typeof token === 'string' || isMarked;
}

/** The texts of all tokens that a configuration names, lists of more among them. */
export const textsNamed = (config: Json): string[] =>
  namedIn({ file: '', value: config }).map(({ content }) => content);

/** A token is its text, or an object that also has its flags. */
function textOf(token: unknown): string | undefined {
  const text =
    typeof token === 'string' ? token : (token as { content?: unknown } | null | undefined)?.content;
  return typeof text === 'string' ? text : undefined;
}

const isMapping = (value: unknown) => typeof value === 'object' && value !== null && !Array.isArray(value);

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
  const isAlone = aloneOf(tokenizer);
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
    for (const flag of matchingRules) {
      const otherwise = flag === 'normalized' && !(flags.special ?? false);
      const isOther = (flags[flag] ?? otherwise) !== (token[flag] ?? false);
      if (isOther && !(flag === 'normalized' && isAlone(token)))
        throw wrong(named, `has another ${flag} than in tokenizer.json's added_tokens`);
    }
  };
  checkSettings(config);
  checkMappings(config);
  const { added_tokens_decoder: decoder } = config.value;
  for (const [id, token] of entriesOf(decoder)) {
    const { content, ...flags } = (token ?? {}) as Partial<AddedToken>;
    if (typeof content !== 'string') continue;
    checkSame({ file: config.file, field: `added_tokens_decoder.${id}`, content }, flags);
  }
  for (const named of namedIn(config)) checkThere(named);
  const filling = fillingToken(tokenizer);
  if (filling !== undefined && !Object.hasOwn(config.value, 'pad_token'))
    checkThere({ file: 'tokenizer.json', field: 'padding.pad_token', content: filling });
  if (decoder !== undefined) return;
  if (specialTokensMap !== undefined) {
    checkMap(specialTokensMap, config.value);
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
  const { extra_special_tokens, additional_special_tokens: older, model_specific_special_tokens } = value;
  // The older list is passed over beside a newer list, not beside a mapping.
  const isPassedOver = Array.isArray(extra_special_tokens) && extra_special_tokens.length > 0;
  const additional_special_tokens = isPassedOver ? [] : older;
  const lists = { extra_special_tokens, additional_special_tokens, model_specific_special_tokens };
  const single = Object.entries(value).filter(([name]) => name.endsWith('_token'));
  const listed = Object.entries(lists).flatMap(([name, list]) =>
    entriesOf(list).map(([key, token]) => [`${name}.${key}`, token] as const),
  );
  return [...single, ...listed].flatMap(([field, token]) => {
    const content = textOf(token);
    return content !== undefined && content !== '' ? [{ file, field, content }] : [];
  });
}

const entriesOf = (value: unknown): [string, unknown][] =>
  typeof value === 'object' && value !== null ? Object.entries(value) : [];

/** What transformers gives itself of tokenizer.json, and takes from a configuration where it stands there. */
const madeByItself = ['padding', 'truncation'].flatMap((name) => [`tokenizer_${name}`, `_json_${name}`]);

/** Settings with which a text has other tokens. */
function checkSettings({ file, value }: BesideFiles['config']): void {
  for (const name of ['split_special_tokens', 'fix_mistral_regex', 'fast_tokenizer_files', ...madeByItself])
    if (value[name])
      throw badModel(
        `${file}: ${name} is not supported: transformers would cut a text into other tokens than tokenizer.json does`,
      );
}

/** A mapping of tokens by name gives its names to the chat template, beside the configuration's own. */
function checkMappings({ file, value }: BesideFiles['config']): void {
  if (isMapping(value['additional_special_tokens']))
    throw badModel(`${file}: additional_special_tokens must be a list; names go into extra_special_tokens`);
  for (const field of ['extra_special_tokens', 'model_specific_special_tokens']) {
    const mapping = value[field];
    if (field.startsWith('model_') && mapping !== undefined && !isMapping(mapping))
      throw badModel(`${file}: ${field} must be a mapping of names that end in _token`);
    if (!isMapping(mapping)) continue;
    for (const [name, token] of Object.entries(mapping as Json)) {
      const where = `${file}: ${field}: ${printableJson(name.slice(0, mostShown))}`;
      if (standardTokens.has(name) || !name.endsWith('_token'))
        throw badModel(
          `${where}: a token's own name must end in _token and be none of ${[...standardTokens].join(', ')}`,
        );
      if (name in value && textOf(value[name]) !== textOf(token))
        throw badModel(`${where}: is another token than beside this mapping; name it once`);
    }
  }
}

/** transformers takes any setting from this file, those too that it does not take from the configuration. */
function checkMap({ file, value }: BesideFiles['config'], config: Json): void {
  for (const [name, token] of Object.entries(value)) {
    const isList = /^(extra|additional)_special_tokens$/.test(name) && Array.isArray(token);
    const isToken =
      name.endsWith('_token') &&
      !/^add_/.test(name) &&
      (textOf(token) !== undefined || (token === null && standardTokens.has(name)));
    if (!isList && !isToken)
      throw badModel(
        `${file}: ${printableJson(name.slice(0, mostShown))} is no special token: only names that end in _token, with a text or an object that has it as content, and a list extra_special_tokens are taken`,
      );
    if (isToken && !standardTokens.has(name) && isMapping(config['model_specific_special_tokens']))
      throw badModel(
        `${file}: ${printableJson(name.slice(0, mostShown))} is beside model_specific_special_tokens of tokenizer_config.json; name it there`,
      );
    const own = config[name] ?? undefined;
    if (isToken && !standardTokens.has(name) && own !== undefined && textOf(own) !== textOf(token))
      throw badModel(
        `${file}: ${printableJson(name.slice(0, mostShown))} is another token than in tokenizer_config.json`,
      );
  }
}

/** Of pairs of added tokens, by the square of the shorter one's characters and what any pair takes: more are not compared. */
const mostCompared = 2 ** 27;

/**
 * Tells of a token whether it is the same whatever `normalized` says: no normalizer changes texts, and no other token is looked
 * for where it stands.
 */
function aloneOf(tokenizer: Json): (token: AddedToken) => boolean {
  const tokens = addedTokens(tokenizer);
  const normalizes = tokenizer['normalizer'] !== null && tokenizer['normalizer'] !== undefined;
  const flagged = tokens.some(({ lstrip, rstrip, single_word }) => lstrip || rstrip || single_word);
  if (normalizes || flagged) return () => false;
  let compared = 0;
  return ({ content }) =>
    tokens.every((other) => {
      compared += 64 + Math.min(content.length, other.content.length) ** 2;
      return compared <= mostCompared && (other.content === content || !meet(content, other.content));
    });
}

/** Whether one text can stand in a third where the other stands, too. */
function meet(a: string, b: string): boolean {
  if (a.includes(b) || b.includes(a)) return true;
  const most = Math.min(a.length, b.length);
  for (let n = 1; n < most; n++) if (a.endsWith(b.slice(0, n)) || b.endsWith(a.slice(0, n))) return true;
  return false;
}
