// Validation of config.json: fields that families share, one setting under two names, and what transformers' shared code reads.
import { z } from 'zod';
import { badModel, listOf } from '../../api/index.ts';
import { agreed } from '../agreed.ts';

/** Names by which AutoTokenizer takes the class of the model's type, whatever the files name (transformers 5.24, tokenization_auto.py). */
const misnamed = new Set<unknown>(
  `arctic chatlm ernie4_5 ernie4_5_moe fuyu h2ovl_chat hyperclovax hyperclovax_vlm hyperclovax_vision_v2 internlm2 internlm3
  iquestcoder jamba llava llava_next minicpm3 minicpmv minimax_m2 modernbert modernbert-decoder molmo molmo2 nemotron nvfp4 opencua
  openvla paddleocr_vl phi3 phi3_v phimoe qwen2 qwen3_5 qwen3_5_moe qwen3_5_moe_text qwen4_exp step3_vl vipllava cohere_asr
  camembertv2-base siglip2 smolvlm`.split(/\s+/),
);

/** What transformers' code reads of any family's configuration, whether or not its class has the field: neutral, or refused. */
export const guardedFields = {
  /** false or null takes the causal mask away. */
  is_causal: z.literal(true).optional(),
  /** Other names of settings, in place of the class's own. */
  attribute_map: z.never({ error: 'transformers would take one setting for another' }).optional(),
  /** The base of rotary angles where `rope_theta` is absent, in place of the class's own. */
  default_theta: z.never({ error: 'say it as rope_theta' }).optional(),
  model_name: z
    .unknown()
    .refine((name) => !misnamed.has(name), { error: 'transformers would take another tokenizer by it' })
    .optional(),
  /** The name of another file of weights. */
  transformers_weights: z.null().optional(),
  /** Settings of some layers alone. */
  per_layer_config: z.null().optional(),
  /** These three choose the kinds of the cache's layers, by which a text goes on. */
  sliding_window: z.null({ error: 'this family has no windows' }).optional(),
  layer_types: listOf(z.literal('full_attention')).nullish(),
  attention_chunk_size: z.null().optional(),
  kv_sharing_modes: z.null().optional(),
};

/** What nearly every family's config.json has under these names. */
export const commonFields = {
  ...guardedFields,
  architectures: listOf(z.string(), z.array(z.unknown()).min(1)),
  hidden_size: z.int().positive(),
  num_hidden_layers: z.int().positive(),
  num_attention_heads: z.int().positive(),
  vocab_size: z.int().positive(),
};

/** A switch that transformers' class of the family does not have: the biases that it asks for would be read by nobody. */
export const noSuchBias = z.literal(false, { error: 'this family has no such biases' }).nullish();

/**
 * @param aliases other names of settings, as `attribute_map` of transformers' class has them, and the family's own
 * @throws OffsiteError BadModel naming every field that is wrong, or two names of one setting that differ
 */
export function parseConfig<Schema extends z.ZodType>(
  schema: Schema,
  config: unknown,
  aliases: Readonly<Record<string, string>> = {},
): z.output<Schema> {
  const parsed = schema.safeParse(underOwnNames(config, aliases));
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
  throw badModel(`config.json: ${problems.join('; ')}`);
}

function underOwnNames(config: unknown, aliases: Readonly<Record<string, string>>): unknown {
  const settings = { ...(config as Record<string, unknown>) };
  for (const [alias, own] of Object.entries(aliases))
    settings[own] = agreed([own, settings[own]], [alias, settings[alias]]);
  return settings;
}
