// The GPT-NeoX family: configuration, tensor names and block.
import { z } from 'zod';
import { badModel } from '../../api/index.ts';
import type { Family } from '../family.ts';
import {
  activate,
  activationField,
  attention,
  channel,
  commonFields,
  gives,
  headParts,
  headSlot,
  headsOf,
  layerNorm,
  linear,
  linearSlots,
  maskSide,
  normSlots,
  outerName,
  parseConfig,
  rotarySides,
  takes,
  takesTiles,
} from '../parts/index.ts';
import { lengthClass, parseRope, type RopeConfig, ropeFields } from '../rope.ts';

const schema = z.looseObject({
  ...commonFields,
  intermediate_size: z.int().positive(),
  hidden_act: activationField.default('gelu'),
  layer_norm_eps: z.number().positive().default(1e-5),
  use_parallel_residual: z.boolean().default(true),
  attention_bias: z.boolean().default(true),
  tie_word_embeddings: z.boolean().default(false),
  rotary_pct: z.number().positive().max(1).optional(),
  rotary_emb_base: z.number().positive().optional(),
  head_dim: z.int().positive().nullish(),
  ...ropeFields,
});

/** GPT-NeoX (arXiv 2204.06745) and Pythia: attention and MLP side by side, a part of each head rotated. */
export const gptNeox: Family = {
  name: 'gpt-neox',
  architectures: ['GPTNeoXForCausalLM'],
  modelType: 'gpt_neox',
  settings: schema,
  floats: ['initializer_range', 'layer_norm_eps'],
  parse(config, has) {
    const c = parseConfig(schema, config);
    const hidden = c.hidden_size;
    const { size, heads, groups } = headsOf(hidden, c.num_attention_heads, c.num_attention_heads);
    const whole = { heads, groups, inner: c.intermediate_size };
    const rope = ropeOf(c, size);
    const { outer, omitted } = outerName('gpt_neox.', 'embed_in.weight', has);
    const embedding = { name: `${outer}embed_in.weight`, shape: [c.vocab_size, hidden] };
    const bias = { bias: true };
    return {
      family: 'gpt-neox',
      omitted,
      depth: c.num_hidden_layers,
      hidden,
      vocabulary: c.vocab_size,
      embedding,
      head: {
        ...normSlots('norm', `${outer}final_layer_norm`, hidden, bias),
        head: headSlot(embedding, c.tie_word_embeddings, 'embed_out.weight'),
      },
      widths: whole,
      isTiled: takesTiles(size),
      cuts: {
        attention: gives({ of: 'heads', size: 3 * size }),
        output: takes({ of: 'heads', size }),
        up: gives(channel),
        down: takes(channel),
      },
      block(layer, widths) {
        const { heads, inner } = { ...whole, ...widths };
        const mixed = heads * size;
        const at = `${outer}layers.${layer}`;
        const attentionBias = { bias: c.attention_bias };
        return {
          ...normSlots('attentionNorm', `${at}.input_layernorm`, hidden, bias),
          ...linearSlots('attention', `${at}.attention.query_key_value`, [3 * mixed, hidden], attentionBias),
          ...linearSlots('output', `${at}.attention.dense`, [hidden, mixed], attentionBias),
          ...normSlots('mlpNorm', `${at}.post_attention_layernorm`, hidden, bias),
          ...linearSlots('up', `${at}.mlp.dense_h_to_4h`, [inner, hidden], bias),
          ...linearSlots('down', `${at}.mlp.dense_4h_to_h`, [hidden, inner], bias),
        };
      },
      side: (batch) => ({ mask: maskSide(batch), ...rotarySides(batch, rope) }),
      lengthClass: (length) => String(lengthClass(rope, length)),
      buildBlock(context, x) {
        const { g, side, w } = context;
        const norm = (v: typeof x, slot: string) => layerNorm(g, v, w, slot, c.layer_norm_eps);
        const rotate = (v: typeof x) => g.rotary(v, side['positions']!, side['cos']!, side['sin']!, size);
        const [queries, keys, values] = headParts(
          g,
          linear(g, norm(x, 'attentionNorm'), w, 'attention'),
          size,
        );
        const mixed = attention(context, rotate(queries), rotate(keys), values, {
          size,
          bias: [side['mask']!],
        });
        const attended = g.add(x, linear(g, mixed, w, 'output'));
        const from = c.use_parallel_residual ? x : attended;
        const up = activate(g, linear(g, norm(from, 'mlpNorm'), w, 'up'), c.hidden_act);
        return g.add(attended, linear(g, up, w, 'down'));
      },
      buildHead: (g, x, w) =>
        g.matmul(layerNorm(g, x, w, 'norm', c.layer_norm_eps), w['head']!, { transB: true }),
    };
  },
};

/** By the names that its class has for base and share; those of other families count nowhere. */
function ropeOf(c: z.output<typeof schema>, headSize: number): RopeConfig {
  const rope = parseRope(
    { ...c, rope_theta: c.rotary_emb_base, partial_rotary_factor: c.rotary_pct },
    headSize,
    { share: 0.25, names: { theta: 'rotary_emb_base', share: 'rotary_pct' } },
  );
  const { rope_theta: theta, partial_rotary_factor: share, head_dim: size } = c;
  if (theta !== undefined && theta !== rope.theta)
    throw badModel('config.json: rope_theta: this family has it in rope_parameters or as rotary_emb_base');
  if (share !== undefined && Math.floor(share * headSize) !== rope.size)
    throw badModel(
      'config.json: partial_rotary_factor: this family has it in rope_parameters or as rotary_pct',
    );
  if (size != null && size !== headSize)
    throw badModel('config.json: head_dim: it is hidden_size / num_attention_heads in this family');
  return rope;
}
