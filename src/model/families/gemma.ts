// The Gemma families (text models only), as variants of LLaMA.
import { z } from 'zod';
import type { GraphBuilder, Value } from '../../graph/index.ts';
import type { BlockContext, Family, Slots } from '../family.ts';
import {
  activationField,
  type Inputs,
  normSlots,
  parseConfig,
  perHead,
  softCap,
  windowKinds,
} from '../parts/index.ts';
import { parseRope, ropeFields, ropeScaling } from '../rope.ts';
import type { Widths } from '../widths.ts';
import { Llama, llamaSchema } from './llama.ts';

const schema = z.looseObject({
  ...llamaSchema.shape,
  head_dim: z.int().positive().default(256),
  hidden_activation: activationField.nullish(),
  tie_word_embeddings: z.boolean().default(true),
  query_pre_attn_scalar: z.number().positive().default(256),
  sliding_window: z.int().positive().default(4096),
  final_logit_softcapping: z.number().positive().nullish(),
  attn_logit_softcapping: z.number().positive().nullish(),
  use_bidirectional_attention: z.literal(false).nullish(),
});

/** Gemma 2 (arXiv 2408.00118): norms before and behind each part, capped products and logits, every other layer a window. */
export const gemma2: Family = {
  name: 'gemma2',
  architectures: ['Gemma2ForCausalLM'],
  parse: (config) => {
    const c = parseConfig(schema, config);
    return new Gemma('gemma2', c, {
      kind: windowKinds(c, (layer) => layer % 2 === 0),
      cap: c.attn_logit_softcapping ?? undefined,
      headNorms: false,
    });
  },
};

const kinds = ['full_attention', 'sliding_attention'] as const;
const gemma3Schema = z.looseObject({
  ...schema.shape,
  sliding_window_pattern: z.int().positive().default(6),
  rope_local_base_freq: z.number().positive().default(10_000),
  rope_parameters: z.looseObject({ full_attention: ropeScaling, sliding_attention: ropeScaling }).nullish(),
  max_position_embeddings: ropeFields.max_position_embeddings.default(131_072),
});

/** Gemma 3 (arXiv 2503.19786), its language model: norms of each head's queries and keys, other angles in the windows. */
export const gemma3: Family = {
  name: 'gemma3',
  architectures: ['Gemma3ForCausalLM'],
  parse: (config) => {
    const { rope_parameters: byKind, rope_scaling: scaling, ...c } = parseConfig(gemma3Schema, config);
    const theta = { full_attention: c.rope_theta ?? 1_000_000, sliding_attention: c.rope_local_base_freq };
    return new Gemma('gemma3', c, {
      kind: windowKinds(c, (layer) => (layer + 1) % c.sliding_window_pattern > 0),
      headNorms: true,
      rope: (size) => {
        const [full, sliding] = kinds.map((kind) => {
          const older = kind === 'full_attention' ? scaling : undefined;
          const angles = { rope_theta: theta[kind], ...(byKind?.[kind] ?? older) };
          return parseRope({ ...c, rope_parameters: angles }, size);
        });
        return (kind) => (kind === 'sliding_attention' ? sliding! : full!);
      },
    });
  },
};

type Options = Omit<ConstructorParameters<typeof Llama>[2], 'queryBias' | 'outputBias'> & {
  /** Whether each head's queries and keys are normalised. */
  headNorms: boolean;
};

class Gemma extends Llama {
  readonly embedder = {
    slots: {},
    build: (g: GraphBuilder, rows: Value) => g.mul(rows, g.scalar(Math.sqrt(this.hidden))),
  };
  readonly #headNorms: boolean;
  readonly #finalCap: number | undefined;

  constructor(family: string, config: z.output<typeof schema>, { headNorms, ...options }: Options) {
    const { attention_bias: bias, query_pre_attn_scalar: scalar } = config;
    super(
      family,
      { ...config, hidden_act: config.hidden_activation ?? 'gelu_pytorch_tanh' },
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
