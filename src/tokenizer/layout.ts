// Validation of tokenizer.json: supported components only, and no token without an embedding.
import { badModel, printable, printableJson } from '../api/index.ts';

export type Json = Record<string, unknown>;

/** What the reference library (tokenizers 0.23) has, part by part; where a part is a sequence, the field that holds its members. */
const parts = {
  normalizer: {
    types:
      'BertNormalizer, ByteLevel, Lowercase, NFC, NFD, NFKC, NFKD, Nmt, Precompiled, Prepend, Replace, Strip, StripAccents',
    members: 'normalizers',
  },
  pre_tokenizer: {
    types:
      'BertPreTokenizer, ByteLevel, CharDelimiterSplit, Digits, FixedLength, Metaspace, Punctuation, Split, UnicodeScripts, Whitespace, WhitespaceSplit',
    members: 'pretokenizers',
  },
  post_processor: {
    types: 'BertProcessing, ByteLevel, RobertaProcessing, TemplateProcessing',
    members: 'processors',
  },
  model: { types: 'BPE, Unigram, WordLevel, WordPiece', members: undefined },
} as const;

/** Characters of a name from outside in a message. */
const mostShown = 80;

/** Of members of a sequence, in all; the library goes through them by recursion, and real ones have a handful. */
const mostMembers = 64;

/** Of an added token, in characters; real ones have some hundred. */
const longestAdded = 1024;

/**
 * Checks that a tokenizer is made of what the reference library has.
 * @throws OffsiteError BadModel naming the part
 */
export function checkLayout(tokenizer: Json, file: string): void {
  for (const [name, { types, members }] of Object.entries(parts)) {
    const known = types.split(', ');
    let count = 0;
    const check = (part: unknown, place: string, depth: number) => {
      if (part === null || part === undefined) return;
      const { type, ...fields } = part as Json;
      if (type === 'Sequence' && members !== undefined && Array.isArray(fields[members])) {
        const list = fields[members] as unknown[];
        count += list.length;
        if (count > mostMembers || depth > 8)
          throw badModel(
            `${file}: ${name}: has more than ${mostMembers} members, or is nested deeper than 8`,
          );
        for (const [i, member] of list.entries()) check(member, `${place}.${members}[${i}]`, depth + 1);
      } else if (type !== undefined && !known.includes(String(type)))
        throw badModel(
          `${file}: ${place}: ${printable(String(type).slice(0, mostShown))} is not supported (${types} are)`,
        );
    };
    check(tokenizer[name], name, 0);
  }
  for (const { content } of addedTokens(tokenizer))
    if (content.length > longestAdded)
      throw badModel(
        `${file}: added_tokens: ${printableJson(content.slice(0, mostShown))} and so on has ${content.length} characters; at most ${longestAdded} are supported`,
      );
  const { dropout } = modelOf(tokenizer);
  if (typeof dropout === 'number' && dropout > 0)
    throw badModel(
      `${file}: model.dropout is ${dropout}: equal texts would have other tokens each time; set it to null`,
    );
}

const modelOf = (tokenizer: Json) => (tokenizer['model'] ?? {}) as Json;

/** A token that is matched as a whole wherever its text stands. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
  readonly lstrip?: boolean;
  readonly rstrip?: boolean;
  readonly single_word?: boolean;
  /** Whether it is looked for in what the normalizer has made of a text. */
  readonly normalized?: boolean;
}

/** The rules by which a token is looked for in a text. */
export const matchingRules = ['lstrip', 'rstrip', 'single_word', 'normalized'] as const;

/** The token that tokenizer.json fills up with, which transformers takes where no other padding token is named. */
export function fillingToken(tokenizer: Json): string | undefined {
  const { pad_token: token } = (tokenizer['padding'] ?? {}) as { pad_token?: unknown };
  return typeof token === 'string' ? token : undefined;
}

export function addedTokens(tokenizer: Json): AddedToken[] {
  const list = tokenizer['added_tokens'];
  const added = Array.isArray(list) ? (list as Partial<AddedToken>[]) : [];
  return added.filter(
    (token): token is AddedToken => typeof token?.id === 'number' && typeof token.content === 'string',
  );
}

/** Each token with its number. */
function* vocabularyOf(tokenizer: Json): Generator<[token: string, id: number]> {
  const { vocab } = modelOf(tokenizer);
  if (Array.isArray(vocab))
    for (const [id, entry] of vocab.entries()) yield [String((entry as unknown[])?.[0]), id];
  else if (typeof vocab === 'object' && vocab !== null)
    for (const [token, id] of Object.entries(vocab)) yield [token, Number(id)];
}

/** Characters of special tokens times those of the texts that they are looked for in: some seconds at worst, for looking may take both. */
const mostCompared = 2 ** 31;

/**
 * Checks that every token that a text may have has its row in the embedding. A special token without one may stand there
 * where nothing writes it but a text that holds its very name: the image token of a text model, say.
 * @param written what the tokenizer's own configuration writes: its special tokens and its chat template
 * @throws OffsiteError BadModel naming the first token
 */
export function checkEmbedded(
  tokenizer: Json,
  { rows, written, file }: { rows: number; written: string; file: string },
): void {
  const special = new Set<string>();
  let first: [token: string, id: number] | undefined;
  const look = (token: string, id: number) => {
    if (id >= rows && id < (first?.[1] ?? Number.POSITIVE_INFINITY)) first = [token, id];
  };
  const processor = JSON.stringify(tokenizer['post_processor'] ?? null);
  let compared = 0;
  for (const { id, content, special: isSpecial } of addedTokens(tokenizer)) {
    if (isSpecial) special.add(content);
    if (id < rows) continue;
    if (isSpecial) compared += (written.length + processor.length) * content.length;
    if (compared > mostCompared)
      throw badModel(
        `${file}: too many or too long special tokens have numbers that the model's embedding has no row for (it has ${rows}) to look for each in what the tokenizer writes`,
      );
    const used = !isSpecial || written.includes(content) || processor.includes(JSON.stringify(content));
    if (used) look(content, id);
  }
  for (const [token, id] of vocabularyOf(tokenizer)) if (!special.has(token)) look(token, id);
  if (first === undefined) return;
  const [token, id] = first;
  throw badModel(
    `${file}: token ${printableJson(token.slice(0, mostShown))} has number ${id}, and the model's embedding has ${rows} rows (0 to ${rows - 1})`,
  );
}
