// The Qwen3 family, as a variant of LLaMA with normalised heads.
import { z } from 'zod';
import type { GraphBuilder, Value } from '../../graph/index.ts';
import type { Family, Slots } from '../family.ts';
import { type Inputs, normSlots, parseConfig, perHead } from '../parts/index.ts';
import type { Widths } from '../widths.ts';
import { ggufOf } from './gguf.ts';
import { Llama, llamaFloats, qwenFields, qwenWindows } from './llama.ts';

const schema = z.looseObject({
  ...qwenFields,
  head_dim: z.int().positive().default(128),
  attention_bias: z.boolean().default(false),
});

/** Qwen3 (arXiv 2505.09388): LLaMA with an RMSNorm of each head's queries and keys. */
export const qwen3: Family = {
  name: 'qwen3',
  architectures: ['Qwen3ForCausalLM'],
  modelType: 'qwen3',
  settings: schema,
  floats: llamaFloats,
  parse: (config) => {
    const parsed = parseConfig(schema, config);
    const { attention_bias: bias } = parsed;
    return new Qwen3('qwen3', parsed, { queryBias: bias, outputBias: bias, kind: qwenWindows(parsed) });
  },
  gguf: ggufOf({ architecture: 'qwen3', hub: 'Qwen3ForCausalLM', interleaved: false }),
};

class Qwen3 extends Llama {
  override block(layer: number, widths?: Partial<Widths>): Slots {
    const at = `model.layers.${layer}.self_attn`;
    return {
      ...super.block(layer, widths),
      ...normSlots('queryNorm', `${at}.q_norm`, this.headSize),
      ...normSlots('keyNorm', `${at}.k_norm`, this.headSize),
    };
  }

  protected override project(g: GraphBuilder, x: Value, w: Inputs): [Value, Value, Value] {
    const [queries, keys, values] = super.project(g, x, w);
    const normed = (v: Value, slot: string) =>
      perHead(g, v, this.headSize, (heads) => this.norm(g, heads, w, slot));
    return [normed(queries, 'queryNorm'), normed(keys, 'keyNorm'), values];
  }
}
