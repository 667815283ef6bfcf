// The GPT-2 family: configuration, tensor names and block.
import { z } from 'zod';
import type { Family } from '../family.ts';
import {
  activate,
  activationField,
  attention,
  channel,
  gives,
  guardedFields,
  headRuns,
  headSlot,
  headsOf,
  layerNorm,
  maskSide,
  normSlots,
  outerName,
  parseConfig,
  parts,
  takes,
  takesTiles,
  transposed,
  transposedSlots,
} from '../parts/index.ts';

const schema = z.looseObject({
  ...guardedFields,
  n_embd: z.int().positive(),
  n_layer: z.int().positive(),
  n_head: z.int().positive(),
  n_positions: z.int().positive(),
  n_inner: z.int().positive().nullish(),
  vocab_size: z.int().positive(),
  activation_function: activationField.default('gelu_new'),
  layer_norm_epsilon: z.number().positive().default(1e-5),
  scale_attn_weights: z.boolean().default(true),
  scale_attn_by_inverse_layer_idx: z.literal(false).default(false),
  add_cross_attention: z.literal(false).default(false),
  tie_word_embeddings: z.boolean().default(true),
});
const aliases = {
  hidden_size: 'n_embd',
  num_hidden_layers: 'n_layer',
  num_attention_heads: 'n_head',
  max_position_embeddings: 'n_positions',
};

/** GPT-2: learned positions, LayerNorm before attention and MLP, linear maps stored [from, to]. */
export const gpt2: Family = {
  name: 'gpt2',
  architectures: ['GPT2LMHeadModel'],
  modelType: 'gpt2',
  settings: schema,
  floats: ['initializer_range', 'layer_norm_epsilon'],
  aliases,
  parse(config, has) {
    const c = parseConfig(schema, config, aliases);
    const hidden = c.n_embd;
    const inner = c.n_inner ?? 4 * hidden;
    const { size, heads, groups } = headsOf(hidden, c.n_head, c.n_head);
    const whole = { heads, groups, inner };
    const { head } = headRuns(size);
    const { outer, omitted } = outerName('transformer.', 'wte.weight', has);
    const embedding = { name: `${outer}wte.weight`, shape: [c.vocab_size, hidden] };
    return {
      family: 'gpt2',
      omitted,
      depth: c.n_layer,
      hidden,
      vocabulary: c.vocab_size,
      positions: c.n_positions,
      embedding,
      embedder: {
        slots: { positions: { name: `${outer}wpe.weight`, shape: [c.n_positions, hidden] } },
        build: (g, rows, positions, w) => g.add(rows, g.gather(w['positions']!, positions, 0)),
      },
      head: {
        ...normSlots('norm', `${outer}ln_f`, hidden, { bias: true }),
        head: headSlot(embedding, c.tie_word_embeddings),
      },
      widths: whole,
      isTiled: takesTiles(size),
      cuts: {
        attention: gives(head, head, head),
        output: takes(head),
        up: gives(channel),
        down: takes(channel),
      },
      block(layer, widths) {
        const { heads, inner } = { ...whole, ...widths };
        const mixed = heads * size;
        const at = `${outer}h.${layer}`;
        return {
          ...normSlots('attentionNorm', `${at}.ln_1`, hidden, { bias: true }),
          ...transposedSlots('attention', `${at}.attn.c_attn`, [hidden, 3 * mixed]),
          ...transposedSlots('output', `${at}.attn.c_proj`, [mixed, hidden]),
          ...normSlots('mlpNorm', `${at}.ln_2`, hidden, { bias: true }),
          ...transposedSlots('up', `${at}.mlp.c_fc`, [hidden, inner]),
          ...transposedSlots('down', `${at}.mlp.c_proj`, [inner, hidden]),
        };
      },
      side: (batch) => ({ mask: maskSide(batch) }),
      buildBlock(context, x) {
        const { g, side, w } = context;
        const norm = (v: typeof x, slot: string) => layerNorm(g, v, w, slot, c.layer_norm_epsilon);
        const fused = transposed(g, norm(x, 'attentionNorm'), w, 'attention');
        const each = (fused.shape[2] as number) / 3;
        const [queries, keys, values] = parts(g, fused, [each, each, each]);
        const scale = c.scale_attn_weights ? undefined : 1;
        const mixed = attention(context, queries!, keys!, values!, { size, scale, bias: [side['mask']!] });
        const attended = g.add(x, transposed(g, mixed, w, 'output'));
        const up = transposed(g, norm(attended, 'mlpNorm'), w, 'up');
        return g.add(attended, transposed(g, activate(g, up, c.activation_function), w, 'down'));
      },
      buildHead: (g, x, w) =>
        g.matmul(layerNorm(g, x, w, 'norm', c.layer_norm_epsilon), w['head']!, { transB: true }),
    };
  },
};
