// Conversion of a GGUF tokenizer of any supported kind to the hub's format.
import { badModel, printable } from '../api/index.ts';
import { byteLevelParts } from './gguf-byte-level.ts';
import { type GgufTokenizer, listsSchema, type Parts } from './gguf-parts.ts';
import { sentencePieceParts } from './gguf-sentencepiece.ts';
import type { Json } from './layout.ts';

const kinds: Readonly<Record<string, (tokenizer: GgufTokenizer) => Parts>> = {
  gpt2: byteLevelParts,
  llama: sentencePieceParts,
};

/** ggml's token types that are matched as a whole: unknown, control and user-defined. */
const [unknown, control, userDefined] = [2, 3, 4];

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
  const { tokens, token_type: types } = lists.data;
  const { bos: takesBos, ...parts } = partsOf({ ...lists.data, get });
  const token = (name: string) => tokens[get<number>(`${name}_token_id`) ?? -1];
  const [bos, eos] = [token('bos'), token('eos')];
  const added = tokens.flatMap((content, id) =>
    [unknown, control, userDefined].includes(types[id] as number)
      ? [
          {
            id,
            content,
            single_word: false,
            lstrip: false,
            rstrip: false,
            normalized: false,
            special: types[id] !== userDefined,
          },
        ]
      : [],
  );
  const before = (get<boolean>('add_bos_token') ?? takesBos) ? bos : undefined;
  const behind = get<boolean>('add_eos_token') === true ? eos : undefined;
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
