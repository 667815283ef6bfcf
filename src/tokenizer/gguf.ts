// Conversion of a GGUF tokenizer of any supported kind to the hub's format.
import { badModel, printable, printableJson } from '../api/index.ts';
import { byteLevelParts } from './gguf-byte-level.ts';
import { type GgufTokenizer, listsSchema, type Parts, unnamedTokens } from './gguf-parts.ts';
import { sentencePieceParts } from './gguf-sentencepiece.ts';
import { wholeTokens } from './gguf-whole.ts';
import type { Json } from './layout.ts';

const kinds: Readonly<Record<string, (tokenizer: GgufTokenizer) => Parts>> = {
  gpt2: byteLevelParts,
  llama: sentencePieceParts,
};

/**
 * Turns the tokenizer inside GGUF metadata into the hub's tokenizer.json and tokenizer_config.json.
 * @throws OffsiteError BadModel naming a model or pre-tokeniser that is not supported
 */
export function fromGguf(metadata: Readonly<Record<string, unknown>>): { tokenizer: Json; config: Json } {
  const get = <T>(name: string) => metadata[`tokenizer.ggml.${name}`] as T | undefined;
  const kind = String(get('model'));
  const partsOf = kinds[kind];
  if (partsOf === undefined)
    throw badModel(
      `GGUF tokenizer.ggml.model is ${printable(kind)}; gpt2 (byte-level BPE) and llama (SentencePiece BPE) are supported`,
    );
  const lists = listsSchema.safeParse({
    tokens: get('tokens'),
    token_type: get('token_type'),
    merges: get('merges'),
    scores: get('scores'),
  });
  if (!lists.success) {
    const [name] = lists.error.issues[0]?.path ?? [];
    throw badModel(`GGUF tokenizer.ggml.${String(name)} is missing or no list of the right type`);
  }
  const tokens = namedTokens(lists.data.tokens);
  refuseStripped(metadata);
  const whole = wholeTokens({ ...lists.data, tokens, get });
  const { takesBos, ...parts } = partsOf({ ...lists.data, tokens, whole, get });
  const token = (name: 'bos' | 'eos') =>
    tokens[tokenIdOf(name, get, tokens.length) ?? unnamedTokens[kind]?.[name] ?? -1];
  const [bos, eos] = [token('bos'), token('eos')];
  const added = whole.map((one) => ({
    ...one,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
  }));
  const around = (name: 'bos' | 'eos', text: string | undefined) => {
    if (text === undefined)
      throw badModel(`GGUF tokenizer.ggml.${name}_token_id is missing, and texts have that token`);
    return text;
  };
  const before = (get<boolean>('add_bos_token') ?? takesBos) ? around('bos', bos) : undefined;
  const behind = get<boolean>('add_eos_token') === true ? around('eos', eos) : undefined;
  const { normalizer, pre_tokenizer, decoder, model } = parts;
  return {
    tokenizer: {
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: added,
      normalizer,
      pre_tokenizer,
      post_processor: template(before, behind, (text) => tokens.indexOf(text)),
      decoder,
      model,
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

/** Each token's text, which is one of its own; what has none has the name that llama.cpp gives it. @throws OffsiteError BadModel */
function namedTokens(tokens: readonly string[]): string[] {
  const characters = tokens.reduce((sum, { length }) => sum + length, 0);
  if (characters > mostCharacters)
    throw badModel(
      `GGUF tokenizer.ggml.tokens: the tokens have ${characters} characters; at most ${mostCharacters} are supported`,
    );
  const named = tokens.map((text, id) => (text === '' ? `[EMPTY_${id}]` : text));
  const numbers = new Map<string, number>();
  for (const [id, text] of named.entries()) {
    const other = numbers.get(text);
    if (other !== undefined)
      throw badModel(
        `GGUF tokenizer.ggml.tokens: ${printableJson(text.slice(0, mostShown))} is token ${other} and token ${id}`,
      );
    numbers.set(text, id);
  }
  return named;
}

/** Of all tokens: four times what the largest vocabularies come to. */
const mostCharacters = 2 ** 23;
/** Of a token's text, in messages. */
const mostShown = 64;

/** @throws OffsiteError BadModel where llama.cpp takes blanks away beside special tokens, which it does by a model's name */
function refuseStripped(metadata: Readonly<Record<string, unknown>>): void {
  const name = String(metadata['general.name'] ?? '').toLowerCase();
  if (/phi-?3|modern-bert/.test(name))
    throw badModel(
      'GGUF general.name says Phi-3 or ModernBERT: llama.cpp takes the blanks beside its special tokens away, which is not supported',
    );
}

/** @throws OffsiteError BadModel where it is no token's */
function tokenIdOf(name: string, get: GgufTokenizer['get'], count: number): number | undefined {
  const id = get<unknown>(`${name}_token_id`);
  if (id !== undefined && !(Number.isInteger(id) && Number(id) >= 0 && Number(id) < count))
    throw badModel(
      `GGUF tokenizer.ggml.${name}_token_id is ${printable(String(id))}, and there are ${count} tokens`,
    );
  return id as number | undefined;
}

/** The special tokens around a text, as the hub writes it. */
function template(
  before: string | undefined,
  behind: string | undefined,
  idOf: (text: string) => number,
): Json | null {
  const used = [before, behind].filter((text) => text !== undefined);
  if (used.length === 0) return null;
  const special = (text: string | undefined) =>
    text === undefined ? [] : [{ SpecialToken: { id: text, type_id: 0 } }];
  const around = (id: string, type_id: number) => [
    ...special(before),
    { Sequence: { id, type_id } },
    ...special(behind),
  ];
  return {
    type: 'TemplateProcessing',
    single: around('A', 0),
    pair: [...around('A', 0), ...around('B', 1)],
    special_tokens: Object.fromEntries(
      used.map((text) => [text, { id: text, ids: [idOf(text)], tokens: [text] }]),
    ),
  };
}
