// The OPT family: configuration, tensor names and block.
import { z } from 'zod';
import type { Value } from '../../graph/index.ts';
import type { Family, Slots } from '../family.ts';
import {
  activate,
  activationField,
  attention,
  channel,
  commonFields,
  gives,
  headRuns,
  headSlot,
  headsOf,
  layerNorm,
  linear,
  linearSlots,
  maskSide,
  normSlots,
  outerName,
  parseConfig,
  takes,
  takesTiles,
} from '../parts/index.ts';

const schema = z.looseObject({
  ...commonFields,
  ffn_dim: z.int().positive(),
  max_position_embeddings: z.int().positive(),
  word_embed_proj_dim: z.int().positive().nullish(),
  do_layer_norm_before: z.boolean().default(true),
  _remove_final_layer_norm: z.boolean().default(false),
  activation_function: activationField.default('relu'),
  enable_bias: z.boolean().default(true),
  layer_norm_elementwise_affine: z.boolean().default(true),
  tie_word_embeddings: z.boolean().default(true),
});

/** The table's first two rows are never used: positions were counted from the padding token's number on. */
const offset = 2;
const epsilon = 1e-5;

/** OPT (arXiv 2205.01068): learned positions; opt-350m has its norms behind each part, and a narrower embedding. */
export const opt: Family = {
  name: 'opt',
  architectures: ['OPTForCausalLM'],
  modelType: 'opt',
  settings: schema,
  floats: ['init_std'],
  parse(config, has) {
    const c = parseConfig(schema, config);
    const hidden = c.hidden_size;
    const { size, heads, groups } = headsOf(hidden, c.num_attention_heads, c.num_attention_heads);
    const whole = { heads, groups, inner: c.ffn_dim };
    const { head } = headRuns(size);
    const narrow = c.word_embed_proj_dim ?? hidden;
    const bias = { bias: c.enable_bias };
    const before = c.do_layer_norm_before;
    const { outer: module, omitted } = outerName('model.', 'decoder.embed_tokens.weight', has);
    const outer = `${module}decoder.`;
    const embedding = { name: `${outer}embed_tokens.weight`, shape: [c.vocab_size, narrow] };
    const norm = (slot: string, name: string): Slots =>
      c.layer_norm_elementwise_affine ? normSlots(slot, name, hidden, { bias: true }) : {};
    const projection = (name: string, shape: [number, number]): Slots =>
      narrow === hidden ? {} : linearSlots('project', `${outer}${name}`, shape);
    return {
      family: 'opt',
      omitted,
      depth: c.num_hidden_layers,
      hidden,
      vocabulary: c.vocab_size,
      positions: c.max_position_embeddings,
      embedding,
      embedder: {
        slots: {
          positions: {
            name: `${outer}embed_positions.weight`,
            shape: [c.max_position_embeddings + offset, hidden],
          },
          ...projection('project_in', [hidden, narrow]),
        },
        build(g, rows, positions, w) {
          const states = w['project'] ? linear(g, rows, w, 'project') : rows;
          const table = g.slice(w['positions']!, 0, offset, c.max_position_embeddings + offset);
          return g.add(states, g.gather(table, positions, 0));
        },
      },
      head: {
        ...(before && !c._remove_final_layer_norm ? norm('norm', `${outer}final_layer_norm`) : {}),
        ...projection('project_out', [narrow, hidden]),
        head: headSlot(embedding, c.tie_word_embeddings),
      },
      widths: whole,
      isTiled: takesTiles(size),
      cuts: {
        query: gives(head),
        key: gives(head),
        value: gives(head),
        output: takes(head),
        up: gives(channel),
        down: takes(channel),
      },
      block(layer, widths) {
        const { heads, inner } = { ...whole, ...widths };
        const mixed = heads * size;
        const at = `${outer}layers.${layer}`;
        return {
          ...norm('attentionNorm', `${at}.self_attn_layer_norm`),
          ...linearSlots('query', `${at}.self_attn.q_proj`, [mixed, hidden], bias),
          ...linearSlots('key', `${at}.self_attn.k_proj`, [mixed, hidden], bias),
          ...linearSlots('value', `${at}.self_attn.v_proj`, [mixed, hidden], bias),
          ...linearSlots('output', `${at}.self_attn.out_proj`, [hidden, mixed], bias),
          ...norm('mlpNorm', `${at}.final_layer_norm`),
          ...linearSlots('up', `${at}.fc1`, [inner, hidden], bias),
          ...linearSlots('down', `${at}.fc2`, [hidden, inner], bias),
        };
      },
      side: (batch) => ({ mask: maskSide(batch) }),
      buildBlock(context, x) {
        const { g, side, w } = context;
        /** x + part(x), with the norm before the part or behind the sum. */
        const around = (from: Value, slot: string, part: (v: Value) => Value) => {
          const normed = (v: Value) => layerNorm(g, v, w, slot, epsilon);
          return before ? g.add(from, part(normed(from))) : normed(g.add(from, part(from)));
        };
        const attended = around(x, 'attentionNorm', (v) => {
          const [queries, keys, values] = ['query', 'key', 'value'].map((slot) => linear(g, v, w, slot));
          const mixed = attention(context, queries!, keys!, values!, { size, bias: [side['mask']!] });
          return linear(g, mixed, w, 'output');
        });
        return around(attended, 'mlpNorm', (v) =>
          linear(g, activate(g, linear(g, v, w, 'up'), c.activation_function), w, 'down'),
        );
      },
      buildHead(g, x, w) {
        const normed = before && !c._remove_final_layer_norm ? layerNorm(g, x, w, 'norm', epsilon) : x;
        const states = w['project'] ? linear(g, normed, w, 'project') : normed;
        return g.matmul(states, w['head']!, { transB: true });
      },
    };
  },
};
