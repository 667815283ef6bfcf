// The Phi-3 family, as a variant of LLaMA with fused projections.
import { z } from 'zod';
import type { GraphBuilder, Value } from '../../graph/index.ts';
import type { Family, Slots } from '../family.ts';
import {
  activate,
  channel,
  gives,
  headRuns,
  type Inputs,
  inputsOf,
  linear,
  linearSlots,
  noSuchBias,
  parseConfig,
  parts,
} from '../parts/index.ts';
import { parseRope, ropeFields } from '../rope.ts';
import type { Cuts, Widths } from '../widths.ts';
import { Llama, llamaFields, llamaFloats } from './llama.ts';

const schema = z.looseObject({
  ...llamaFields,
  head_dim: z.int().positive().optional(),
  rms_norm_eps: z.number().positive().default(1e-5),
  max_position_embeddings: ropeFields.max_position_embeddings.default(4096),
  original_max_position_embeddings: z.int().positive().default(4096),
  sliding_window: z.int().positive().nullish(),
  attention_bias: noSuchBias,
  mlp_bias: noSuchBias,
});

/** Its class knows two more names of longrope, and no other type. */
const types = { default: 'default', longrope: 'longrope', su: 'longrope', yarn: 'longrope' } as const;

/** Phi-3 and Phi-4 (arXiv 2404.14219): LLaMA with one projection for queries, keys and values, and one for gate and up. */
export const phi3: Family = {
  name: 'phi3',
  architectures: ['Phi3ForCausalLM'],
  modelType: 'phi3',
  settings: schema,
  floats: llamaFloats,
  parse: (config) => {
    const c = parseConfig(schema, config);
    return new Phi3('phi3', c, {
      queryBias: false,
      outputBias: false,
      kind: () => (c.sliding_window == null ? 'full_attention' : 'sliding_attention'),
      rope: (size) => parseRope(c, size, { share: 1, types }),
    });
  },
};

class Phi3 extends Llama {
  override get cuts(): Cuts {
    const { head, group } = headRuns(this.headSize);
    const { output, down } = super.cuts;
    return {
      attention: gives(head, group, group),
      output: output!,
      gateUp: gives(channel, channel),
      down: down!,
    };
  }

  override block(layer: number, widths?: Partial<Widths>): Slots {
    const { query, key, value, gate, up, ...others } = super.block(layer, widths);
    const at = `model.layers.${layer}`;
    const rows = (...fused: (typeof query)[]) =>
      fused.reduce((sum, slot) => sum + (slot!.shape[0] as number), 0);
    return {
      ...others,
      ...linearSlots('attention', `${at}.self_attn.qkv_proj`, [rows(query, key, value), this.hidden]),
      ...linearSlots('gateUp', `${at}.mlp.gate_up_proj`, [rows(gate, up), this.hidden]),
    };
  }

  protected override project(g: GraphBuilder, x: Value, w: Inputs): [Value, Value, Value] {
    const fused = linear(g, x, w, 'attention');
    const queries = inputsOf(w, 'output');
    const keys = ((fused.shape[2] as number) - queries) / 2;
    return parts(g, fused, [queries, keys, keys]) as [Value, Value, Value];
  }

  protected override mlp(g: GraphBuilder, x: Value, w: Inputs): Value {
    const fused = linear(g, x, w, 'gateUp');
    const inner = (fused.shape[2] as number) / 2;
    const [gate, up] = parts(g, fused, [inner, inner]);
    return linear(g, g.mul(activate(g, gate!, this.config.hidden_act), up!), w, 'down');
  }
}
