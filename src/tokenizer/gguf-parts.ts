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

/** What GGUF says of a tokenizer, beside its name. */
export interface GgufTokenizer extends z.infer<typeof listsSchema> {
  get<T>(name: string): T | undefined;
}

/** How each kind of tokenizer splits and joins, and what is so where a file says nothing of it. */
export interface Parts {
  readonly normalizer: Json | null;
  readonly pre_tokenizer: Json | null;
  readonly decoder: Json | null;
  readonly model: Json;
  /** Whether BOS stands before a text. */
  readonly takesBos: boolean;
  /** The numbers of special tokens. */
  readonly defaults: { readonly bos?: number; readonly eos?: number };
}
