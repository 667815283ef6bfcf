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
  parseConfig,
  parts,
  windowKinds,
} from '../parts/index.ts';
import { parseRope } from '../rope.ts';
import type { Cuts, Widths } from '../widths.ts';
import { Llama, llamaSchema } from './llama.ts';

const schema = z.looseObject({
  ...llamaSchema.shape,
  partial_rotary_factor: z.number().positive().max(1).default(1),
});

/** Phi-3 and Phi-4 (arXiv 2404.14219): LLaMA with one projection for queries, keys and values, and one for gate and up. */
export const phi3: Family = {
  name: 'phi3',
  architectures: ['Phi3ForCausalLM'],
  parse: (config) => {
    const c = parseConfig(schema, config);
    const share = c.rope_parameters?.partial_rotary_factor ?? c.partial_rotary_factor;
    return new Phi3('phi3', c, {
      queryBias: false,
      outputBias: false,
      kind: windowKinds({}, () => c.sliding_window != null),
      rope: (size) => parseRope(c, Math.floor(size * share)),
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
