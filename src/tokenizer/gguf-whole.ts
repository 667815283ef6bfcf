// Which tokens of a GGUF file are matched as a whole wherever their text stands, as llama.cpp finds them (src/llama-vocab.cpp).
import { badModel, printableJson } from '../api/index.ts';
import { type GgufTokenizer, tokenTypes, type Whole } from './gguf-parts.ts';

/** What is known of tokens, by their number. */
type Listed = Pick<GgufTokenizer, 'tokens' | 'token_type' | 'get'>;

const { control, userDefined } = tokenTypes;
const wholeTypes: ReadonlySet<number | undefined> = new Set(Object.values(tokenTypes));

/** Texts that llama.cpp takes for ends of a generation, whatever type the file gives them. */
const endings = [
  ...['<|eot_id|>', '<|im_end|>', '<|end|>', '<|return|>', '<|call|>', '<|flush|>', '<|calls|>'],
  ...['<end_of_turn>', '<|endoftext|>', '</s>', '<|eom_id|>', '<EOT>', '_<EOT>', '[EOT]', '[EOS]'],
  ...['<|end_of_text|>', '<end_of_utterance>', '<eos>', '<turn|>', '<|tool_response>'],
  ...['<｜end▁of▁sentence｜>', '[e~['],
];

/** Texts that it takes for user-defined tokens. */
const channels = ['<|channel|>', '<|message|>', '<|start|>', '<|constrain|>'];

/** Texts of which it makes one a control token, where the file names none by these fields. */
const fillIns: readonly { fields: readonly string[]; texts: readonly string[] }[] = [
  {
    fields: ['fim_pre_token_id', 'prefix_token_id'],
    texts: [
      ...['<|fim_prefix|>', '<fim-prefix>', '<fim_prefix>', '<｜fim▁begin｜>', '<PRE>', '▁<PRE>'],
      ...['<|code_prefix|>', '<|prefix|>'],
    ],
  },
  {
    fields: ['fim_suf_token_id', 'suffix_token_id'],
    texts: [
      ...['<|fim_suffix|>', '<fim-suffix>', '<fim_suffix>', '<｜fim▁hole｜>', '<SUF>', '▁<SUF>'],
      ...['<|code_suffix|>', '<|suffix|>'],
    ],
  },
  {
    fields: ['fim_mid_token_id', 'middle_token_id'],
    texts: [
      ...['<|fim_middle|>', '<fim-middle>', '<fim_middle>', '<｜fim▁end｜>', '<MID>', '▁<MID>'],
      ...['<|code_middle|>', '<|middle|>'],
    ],
  },
  { fields: ['fim_pad_token_id'], texts: ['<|fim_pad|>', '<fim-pad>', '<fim_pad>', '<PAD>', '[PAD]'] },
  {
    fields: ['fim_rep_token_id'],
    texts: ['<|fim_repo|>', '<|repo_name|>', '<fim-repo>', '<REPO>', '<reponame>'],
  },
  { fields: ['fim_sep_token_id'], texts: ['<|file_sep|>'] },
];

/**
 * The tokens that are matched as a whole, by their numbers: by their type, and by texts that llama.cpp knows.
 * @throws OffsiteError BadModel where what llama.cpp would match hangs on more than the leftmost and longest token
 */
export function wholeTokens(listed: Listed): Whole[] {
  const { tokens, token_type: types } = listed;
  const named = namedIn(listed);
  const whole = tokens.flatMap((content, id) => {
    const type = named.get(content) ?? types[id];
    if (!wholeTypes.has(type)) return [];
    return [{ id, content, special: type !== userDefined }];
  });
  refuseOverlaps(whole.map(({ content }) => content));
  return whole;
}

/** The type of tokens that have one by their text. */
function namedIn({ tokens, token_type: types, get }: Listed): Map<string, number> {
  const known = new Map(tokens.map((text, id) => [text, id]));
  const isWhole = (text: string) => wholeTypes.has(types[known.get(text) ?? -1]);
  const named = new Map<string, number>();
  for (const text of endings) if (!isWhole(text)) named.set(text, control);
  if (known.has('</s>') && ['<|tool_response>', '<|plamo:eos|>'].some((text) => known.has(text)))
    throw badModel(
      'GGUF tokenizer.ggml.tokens: "</s>" beside "<|tool_response>" or "<|plamo:eos|>" is no end to llama.cpp, which is not supported',
    );
  for (const text of channels) named.set(text, userDefined);
  for (const { fields, texts } of fillIns) {
    const there = texts.filter((text) => known.has(text));
    if (fields.some((field) => Number(get(field)) < tokens.length) || there.every(isWhole)) continue;
    if (there.length > 1)
      throw badModel(
        `GGUF tokenizer.ggml.token_type: ${there.map(printableJson).join(' and ')} are of one kind, and one is no control token: which one llama.cpp takes is left to chance`,
      );
    named.set(there[0]!, control);
  }
  return named;
}

/**
 * llama.cpp looks for the longest token (in bytes) in the whole text first, others look for the leftmost: where a token ends as one of
 * its length or longer begins, these differ. Runs of one character give the same either way.
 */
function refuseOverlaps(contents: readonly string[]): void {
  const characters = contents.reduce((sum, { length }) => sum + length, 0);
  if (characters > mostCharacters)
    throw badModel(
      `GGUF tokenizer.ggml.tokens: those that are matched as a whole have ${characters} characters; at most ${mostCharacters} are supported`,
    );
  /** The longest token that begins so, of those that are longer than that. */
  const beginnings = new Map<string, string>();
  const bytes = (text: string) => Buffer.byteLength(text);
  for (const text of contents) {
    if (text.length > longest)
      throw badModel(
        `GGUF tokenizer.ggml.tokens: a token that is matched as a whole has ${text.length} characters; at most ${longest} are supported`,
      );
    for (let end = 1; end < text.length; end++) {
      const beginning = text.slice(0, end);
      const known = beginnings.get(beginning);
      if (known === undefined || bytes(known) < bytes(text)) beginnings.set(beginning, text);
    }
  }
  for (const text of contents)
    for (let start = 1; start < text.length; start++) {
      const other = beginnings.get(text.slice(start));
      if (other === undefined || other === text || bytes(other) < bytes(text)) continue;
      if (isRun(text) && isRun(other)) continue;
      throw badModel(
        `GGUF tokenizer.ggml.tokens: ${printableJson(text)} ends as ${printableJson(other)} begins, and which of both a text holds differs between llama.cpp and others`,
      );
    }
}

/** Of a token that is matched as a whole, in characters. */
const longest = 128;
/** Of all of them: three times what the largest vocabularies come to. */
const mostCharacters = 2 ** 18;

const isRun = (text: string): boolean => text === text[0]!.repeat(text.length);
