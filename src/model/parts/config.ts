// Validation of config.json, and the fields that families share.
import { z } from 'zod';
import { badModel, listOf } from '../../api/index.ts';

/** What nearly every family's config.json has under these names. */
export const commonFields = {
  architectures: listOf(z.string(), z.array(z.unknown()).min(1)),
  hidden_size: z.int().positive(),
  num_hidden_layers: z.int().positive(),
  num_attention_heads: z.int().positive(),
  vocab_size: z.int().positive(),
};

/** @throws OffsiteError BadModel naming every field that is wrong */
export function parseConfig<Schema extends z.ZodType>(schema: Schema, config: unknown): z.output<Schema> {
  const parsed = schema.safeParse(config);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
  throw badModel(`config.json: ${problems.join('; ')}`);
}
