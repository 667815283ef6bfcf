// The Gemma families (text models only), as variants of LLaMA.
import { z } from 'zod';
import type { GraphBuilder, Value } from '../../graph/index.ts';
import type { BlockContext, Family, Slots } from '../family.ts';
import {
  type Activation,
  activationField,
  type Inputs,
  normSlots,
  noSuchBias,
  parseConfig,
  perHead,
  softCap,
  windowFields,
  windowKinds,
} from '../parts/index.ts';
import { parseRope, ropeFields, ropeScaling } from '../rope.ts';
import type { Widths } from '../widths.ts';
import { Llama, type LlamaConfig, llamaFields, llamaFloats } from './llama.ts';

const { hidden_act: _, ...kinFields } = llamaFields;
/** What both have in common; `hidden_act`, which some files have too, is not read. */
const gemmaFields = {
  ...kinFields,
  num_key_value_heads: z.int().positive().default(4),
  head_dim: z.int().positive().default(256),
  hidden_activation: activationField.default('gelu_pytorch_tanh'),
  tie_word_embeddings: z.boolean().default(true),
  attention_bias: z.boolean().default(false),
  mlp_bias: noSuchBias,
  query_pre_attn_scalar: z.number().positive().default(256),
  ...windowFields,
  use_bidirectional_attention: z.literal(false).nullish(),
};
const floats = [...llamaFloats, 'final_logit_softcapping', 'attn_logit_softcapping'];
const gemma2Schema = z.looseObject({
  ...gemmaFields,
  max_position_embeddings: ropeFields.max_position_embeddings.default(8192),
  final_logit_softcapping: z.number().positive().nullable().default(30),
  attn_logit_softcapping: z.number().positive().nullable().default(50),
});

/** Gemma 2 (arXiv 2408.00118): norms before and behind each part, capped products and logits, every other layer a window. */
export const gemma2: Family = {
  name: 'gemma2',
  architectures: ['Gemma2ForCausalLM'],
  modelType: 'gemma2',
  settings: gemma2Schema,
  floats,
  parse: (config) => {
    const c = parseConfig(gemma2Schema, config);
    return new Gemma('gemma2', c, {
      kind: windowKinds(c, c.sliding_window, (layer) => layer % 2 === 0),
      cap: c.attn_logit_softcapping ?? undefined,
      headNorms: false,
    });
  },
};

/** transformers looks for yarn's `truncate` beside the kinds, and so truncates always. */
const truncates = z.literal(true).optional();
const kindScaling = ropeScaling.extend({ truncate: truncates });
const gemma3Schema = z.looseObject({
  ...gemmaFields,
  sliding_window_pattern: z.int().positive().default(6),
  rope_local_base_freq: z.number().positive().optional(),
  rope_parameters: z
    .looseObject({ full_attention: kindScaling, sliding_attention: kindScaling, truncate: truncates })
    .nullish(),
  rope_scaling: kindScaling
    .refine(({ rope_type, type }) => rope_type !== undefined || type === undefined, {
      path: ['type'],
      error: 'in this family it is called rope_type',
    })
    .nullish(),
  max_position_embeddings: ropeFields.max_position_embeddings.default(131_072),
  final_logit_softcapping: z.number().positive().nullish(),
});

/** Gemma 3 (arXiv 2503.19786), its language model: norms of each head's queries and keys, other angles in the windows. */
export const gemma3: Family = {
  name: 'gemma3',
  architectures: ['Gemma3ForCausalLM'],
  modelType: 'gemma3_text',
  settings: gemma3Schema,
  floats,
  parse: (config) => {
    const { rope_parameters: byKind, ...c } = parseConfig(gemma3Schema, config);
    return new Gemma('gemma3', c, {
      kind: windowKinds(c, c.sliding_window, (layer) => (layer + 1) % c.sliding_window_pattern > 0),
      headNorms: true,
      rope: (size) => {
        // Its class reads the length that a model was first trained on beside a kind's other numbers only
        const shared = { ...c, original_max_position_embeddings: undefined };
        const full = parseRope({ ...shared, rope_parameters: byKind?.full_attention }, size, {
          theta: 1_000_000,
        });
        const sliding = parseRope(
          {
            ...shared,
            rope_theta: c.rope_local_base_freq,
            rope_scaling: undefined,
            rope_parameters: byKind?.sliding_attention,
          },
          size,
          { names: { theta: 'rope_local_base_freq', share: 'partial_rotary_factor' } },
        );
        return (kind) => (kind === 'sliding_attention' ? sliding : full);
      },
    });
  },
};

type Options = Omit<ConstructorParameters<typeof Llama>[2], 'queryBias' | 'outputBias'> & {
  /** Whether each head's queries and keys are normalised. */
  headNorms: boolean;
};

interface GemmaConfig extends Omit<LlamaConfig, 'hidden_act'> {
  hidden_activation: Activation;
  attention_bias: boolean;
  query_pre_attn_scalar: number;
  final_logit_softcapping?: number | null | undefined;
}

class Gemma extends Llama {
  readonly embedder = {
    slots: {},
    build: (g: GraphBuilder, rows: Value) => g.mul(rows, g.scalar(Math.sqrt(this.hidden))),
  };
  readonly #headNorms: boolean;
  readonly #finalCap: number | undefined;

  constructor(family: string, config: GemmaConfig, { headNorms, ...options }: Options) {
    const { attention_bias: bias, query_pre_attn_scalar: scalar } = config;
    super(
      family,
      { ...config, hidden_act: config.hidden_activation },
      { ...options, queryBias: bias, outputBias: bias, scale: 1 / Math.sqrt(scalar) },
    );
    this.#headNorms = headNorms;
    this.#finalCap = config.final_logit_softcapping ?? undefined;
  }

  override block(layer: number, widths?: Partial<Widths>): Slots {
    const at = `model.layers.${layer}`;
    const size = this.headSize;
    return {
      ...super.block(layer, widths),
      ...normSlots('attentionEndNorm', `${at}.post_attention_layernorm`, this.hidden),
      ...normSlots('mlpNorm', `${at}.pre_feedforward_layernorm`, this.hidden),
      ...normSlots('mlpEndNorm', `${at}.post_feedforward_layernorm`, this.hidden),
      ...(this.#headNorms ? normSlots('queryNorm', `${at}.self_attn.q_norm`, size) : {}),
      ...(this.#headNorms ? normSlots('keyNorm', `${at}.self_attn.k_norm`, size) : {}),
    };
  }

  override buildBlock(context: BlockContext, x: Value): Value {
    const { g, w } = context;
    const mixed = this.attend(context, this.norm(g, x, w, 'attentionNorm'));
    const attended = g.add(x, this.norm(g, mixed, w, 'attentionEndNorm'));
    const added = this.mlp(g, this.norm(g, attended, w, 'mlpNorm'), w);
    return g.add(attended, this.norm(g, added, w, 'mlpEndNorm'));
  }

  override buildHead(g: GraphBuilder, x: Value, w: Inputs): Value {
    return softCap(g, super.buildHead(g, x, w), this.#finalCap);
  }

  /** Weights are stored as their distance from one. */
  protected override norm(g: GraphBuilder, x: Value, w: Inputs, slot: string): Value {
    return g.rmsNorm(x, g.add(w[slot]!, g.scalar(1)), this.config.rms_norm_eps);
  }

  protected override project(g: GraphBuilder, x: Value, w: Inputs): [Value, Value, Value] {
    const [queries, keys, values] = super.project(g, x, w);
    if (!this.#headNorms) return [queries, keys, values];
    const normed = (v: Value, slot: string) =>
      perHead(g, v, this.headSize, (heads) => this.norm(g, heads, w, slot));
    return [normed(queries, 'queryNorm'), normed(keys, 'keyNorm'), values];
  }
}
