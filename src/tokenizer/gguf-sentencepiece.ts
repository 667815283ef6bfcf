// Conversion of GGUF's SentencePiece BPE, the tokenizer of LLaMA.
import { badModel, printableJson } from '../api/index.ts';
import { type GgufTokenizer, type Parts, tokenTypes } from './gguf-parts.ts';
import { type Piece, refuseTies } from './gguf-ties.ts';
import type { Json } from './layout.ts';

const space = '▁';
const byteToken = /^<0x[0-9A-F]{2}>$/;
const toMark = { type: 'Replace', pattern: { String: ' ' }, content: space };

/** Of a token, in characters; SentencePiece makes none of more than 16, and runs of blanks have up to 32. */
const longest = 128;
/** Five times what the largest vocabularies come to. */
const mostMerges = 4_000_000;

/**
 * SentencePiece's BPE: of two neighbours that make a token, those are joined whose token has the highest score. Blanks are
 * marks that belong to the word behind them, one is put before each text, and what has no token is written in bytes.
 * @throws OffsiteError BadModel where tokens have no scores
 */
export function sentencePieceParts({ tokens, token_type: types, scores, whole, get }: GgufTokenizer): Parts {
  if (scores.length !== tokens.length)
    throw badModel(
      `GGUF tokenizer.ggml.scores has ${scores.length} numbers for ${tokens.length} tokens; a llama tokenizer has one for each`,
    );
  // llama.cpp joins to a token of any type; what a text holds as a whole is there no more, unless it is by the mark of a blank.
  const wholeNumbers = new Set(whole.map(({ id }) => id));
  const pieces = tokens.flatMap((text, id) =>
    wholeNumbers.has(id) && !text.includes(space) ? [] : [{ text, score: Math.fround(scores[id]!) }],
  );
  const before = { type: 'Prepend', prepend: space };
  return {
    normalizer:
      get<boolean>('add_space_prefix') === false
        ? toMark
        : { type: 'Sequence', normalizers: [before, toMark] },
    pre_tokenizer: null,
    decoder: null,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: unknownToken(tokens, types, get) ?? null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: true,
      byte_fallback: true,
      vocab: Object.fromEntries(tokens.map((text, id) => [text, id])),
      merges: mergesOf(pieces, new Set(tokens)),
    } satisfies Json,
    takesBos: true,
  };
}

function unknownToken(
  tokens: readonly string[],
  types: readonly number[],
  get: GgufTokenizer['get'],
): string | undefined {
  return tokens[get<number>('unknown_token_id') ?? types.indexOf(tokenTypes.unknown)];
}

/**
 * The pairs of tokens that make a token, those first whose token has the highest score.
 * @throws OffsiteError BadModel where they would fill the memory, two tokens are joined with one score, or one is joined of a character
 * that is no token, which llama.cpp alone does
 */
function mergesOf(pieces: readonly Piece[], tokens: ReadonlySet<string>): [left: string, right: string][] {
  const ordered = pieces.toSorted((a, b) => b.score - a.score);
  const known = new Set(ordered.map(({ text }) => text));
  const merges: [left: string, right: string][] = [];
  const joined: Piece[] = [];
  for (const piece of ordered) {
    const all = pairsOf(piece.text);
    const pairs = all.filter(([left, right]) => known.has(left) && known.has(right));
    const written = pairs.flat().find((half) => byteToken.test(half));
    if (written !== undefined)
      throw badModel(
        `GGUF tokenizer.ggml.tokens: ${printableJson(piece.text)} is joined of ${printableJson(written)}, which stands for a byte`,
      );
    const isLone = (text: string) => isCharacter(text) && !tokens.has(text);
    const lone = all.find(
      ([left, right]) =>
        (isLone(left) || isLone(right)) && [left, right].every((half) => known.has(half) || isLone(half)),
    );
    if (lone !== undefined)
      throw badModel(
        `GGUF tokenizer.ggml.tokens: ${printableJson(piece.text)} is made of ${lone.map(printableJson).join(' and ')}, of which one is no token`,
      );
    if (pairs.length > 0) joined.push(piece);
    merges.push(...pairs);
    if (merges.length > mostMerges)
      throw badModel(
        `GGUF tokenizer.ggml.tokens: its tokens are made of more than ${mostMerges} pairs of each other`,
      );
  }
  refuseTies(joined, known);
  return merges;
}

const isCharacter = (text: string): boolean => text.length <= 2 && Array.from(text).length === 1;

/** @throws OffsiteError BadModel at a token that is too long: the pairs of many such would fill the memory */
function pairsOf(text: string): [left: string, right: string][] {
  if (text.length > longest)
    throw badModel(
      `GGUF tokenizer.ggml.tokens: a token has ${text.length} characters; at most ${longest} are supported`,
    );
  const pairs: [left: string, right: string][] = [];
  let at = 0;
  for (const character of text) {
    if (at > 0) pairs.push([text.slice(0, at), text.slice(at)]);
    at += character.length;
  }
  return pairs;
}
