import fc from 'fast-check';
import type { Example } from '../../../src/data/index.ts';
import type { Tokenizer } from '../../../src/tokenizer/index.ts';

const tokens = (maxLength: number) =>
  fc.array(fc.integer({ min: 1, max: 9999 }), { minLength: 1, maxLength });

/** Rows of text and of prompts with choices; none has more than 60 tokens. */
export const someExamples: fc.Arbitrary<Example[]> = fc
  .array(fc.record({ trunk: tokens(20), branches: fc.array(tokens(10), { maxLength: 4 }) }), {
    minLength: 1,
    maxLength: 30,
  })
  .map((rows) => rows.map((fields, row) => ({ row, bytes: [], ...fields })));

/** One token a character, its code point; special tokens put 1 in front; 2 is the end token. */
export const characters: Pick<Tokenizer, 'encode' | 'eos'> = {
  encode: (text, options) => [
    ...(options?.specialTokens === false ? [] : [1]),
    ...[...text].map((character) => character.codePointAt(0)!),
  ],
  eos: 2,
};

export const tokensOf = (text: string): number[] => characters.encode(text, { specialTokens: false });
