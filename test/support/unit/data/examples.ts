import fc from 'fast-check';
import type { Example } from '../../../../src/data/index.ts';
import type { Conversation, Encoding, RunningTokenizer, Tokenizer } from '../../../../src/tokenizer/index.ts';

const tokens = (maxLength: number) =>
  fc.array(fc.integer({ min: 1, max: 9999 }), { minLength: 1, maxLength });

/** Rows of text and of prompts with choices; none has more than 60 tokens. */
export const someExamples: fc.Arbitrary<Example[]> = fc
  .array(fc.record({ trunk: tokens(20), branches: fc.array(tokens(10), { maxLength: 4 }) }), {
    minLength: 1,
    maxLength: 30,
  })
  .map((rows) => rows.map((fields, row) => ({ row, bytes: [], ...fields })));

/** A text's tokens, none of which the tokenizer's own rule puts around it. */
export const encodingOf = (
  ids: readonly number[],
  offsets: readonly (readonly [from: number, to: number])[] = [],
): Encoding => ({
  ids: Int32Array.from(ids),
  ...{ leading: 0, trailing: 0 },
  offsets: Int32Array.from(offsets.flat()),
});

/** A tokenizer for tests: `encode` says what tokens a text has, each of one character's place; 1 is put in front. */
export function tokenizerOf(
  encode: (text: string) => number[],
  { eos, chat }: { eos?: number; chat?: (asked: Conversation) => string | undefined } = { eos: 2 },
): Pick<Tokenizer, 'start'> {
  const running: RunningTokenizer = {
    eos,
    prefix: 1,
    chat: chat !== undefined,
    encode: async (text, { specialTokens = true } = {}) => {
      const ids = encode(text);
      const offsets = [...text].map((_, place) => [place, place + 1] as const);
      return specialTokens ? { ...encodingOf([1, ...ids]), leading: 1 } : encodingOf(ids, offsets);
    },
    write: async (asked) => {
      const text = chat!(asked);
      return text === undefined ? undefined : { text, generations: [], isMarked: false };
    },
    close: () => {},
  };
  return { start: async () => running };
}

/** One token a character, its code point. */
export const tokensOf = (text: string): number[] => [...text].map((character) => character.codePointAt(0)!);

/** One token a character; special tokens put 1 in front; 2 is the end token. */
export const characters = tokenizerOf(tokensOf);
