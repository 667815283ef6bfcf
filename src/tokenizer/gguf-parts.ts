// What the conversions of all kinds of GGUF tokenizers have in common: their input and their output.
import { z } from 'zod';
import { listOf } from '../api/index.ts';
import type { Json } from './layout.ts';

export const listsSchema = z.object({
  tokens: listOf(z.string(), z.array(z.unknown()).min(1)),
  token_type: listOf(z.number()).default([]),
  merges: listOf(z.string()).default([]),
  scores: listOf(z.number()).default([]),
});

/** ggml's token types that are matched as a whole. */
export const tokenTypes = { unknown: 2, control: 3, userDefined: 4 } as const;

/** A token that is matched as a whole, and whether it is a special one and no text of a user's. */
export interface Whole {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
}

/** What GGUF says of a tokenizer, beside its name. */
export interface GgufTokenizer extends z.infer<typeof listsSchema> {
  readonly whole: readonly Whole[];
  get<T>(name: string): T | undefined;
}

/** The numbers of special tokens, by the kind of tokenizer, where a file names none. */
export const unnamedTokens: Readonly<Record<string, { readonly bos?: number; readonly eos?: number }>> = {
  llama: { bos: 1, eos: 2 },
};

/** How each kind of tokenizer splits and joins, and whether BOS stands before a text that nothing else is said of. */
export interface Parts {
  readonly normalizer: Json | null;
  readonly pre_tokenizer: Json | null;
  readonly decoder: Json | null;
  readonly model: Json;
  readonly takesBos: boolean;
}
