// The BLOOM family: configuration, tensor names and block.
import { z } from 'zod';
import { badModel } from '../../api/index.ts';
import type { Family } from '../family.ts';
import {
  activate,
  alibiPlaces,
  alibiSide,
  alibiSlopes,
  attention,
  channel,
  gives,
  guardedFields,
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
  takes,
} from '../parts/index.ts';

const schema = z.looseObject({
  ...guardedFields,
  hidden_size: z.int().positive(),
  n_layer: z.int().positive(),
  n_head: z.int().positive(),
  vocab_size: z.int().positive(),
  layer_norm_epsilon: z.number().positive().default(1e-5),
  apply_residual_connection_post_layernorm: z.boolean().default(false),
  tie_word_embeddings: z.boolean().default(true),
  /** Of the machine on which it was trained first: into how many slices `slow_but_exact` cuts sums. */
  pretraining_tp: z.int().default(1),
  slow_but_exact: z.boolean().default(false),
});
const aliases = { num_hidden_layers: 'n_layer', num_attention_heads: 'n_head', n_embed: 'hidden_size' };

/** BLOOM (arXiv 2211.05100): linear biases in place of positions, a norm behind the embedding. */
export const bloom: Family = {
  name: 'bloom',
  architectures: ['BloomForCausalLM'],
  modelType: 'bloom',
  settings: schema,
  floats: ['initializer_range', 'layer_norm_epsilon'],
  aliases,
  parse(config, has) {
    const c = parseConfig(schema, config, aliases);
    if (c.slow_but_exact && c.pretraining_tp > 1)
      throw badModel(
        'config.json: slow_but_exact beside a pretraining_tp above 1: transformers would leave out the biases of dense and dense_4h_to_h; set it to false, or pretraining_tp to 1',
      );
    const hidden = c.hidden_size;
    const { size, heads, groups } = headsOf(hidden, c.n_head, c.n_head);
    const whole = { heads, groups, inner: 4 * hidden };
    const { outer, omitted } = outerName('transformer.', 'word_embeddings.weight', has);
    const embedding = { name: `${outer}word_embeddings.weight`, shape: [c.vocab_size, hidden] };
    const bias = { bias: true };
    return {
      family: 'bloom',
      omitted,
      depth: c.n_layer,
      hidden,
      vocabulary: c.vocab_size,
      embedding,
      embedder: {
        slots: normSlots('norm', `${outer}word_embeddings_layernorm`, hidden, bias),
        build: (g, rows, _positions, w) => layerNorm(g, rows, w, 'norm', c.layer_norm_epsilon),
      },
      head: {
        ...normSlots('norm', `${outer}ln_f`, hidden, bias),
        head: headSlot(embedding, c.tie_word_embeddings),
      },
      widths: whole,
      cuts: {
        attention: gives({ of: 'heads', size: 3 * size }),
        output: takes({ of: 'heads', size }),
        up: gives(channel),
        down: takes(channel),
        slopes: gives({ of: 'heads', size: 1 }),
      },
      marks: { slopes: alibiSlopes(heads) },
      block(layer, widths) {
        const { heads, inner } = { ...whole, ...widths };
        const mixed = heads * size;
        const at = `${outer}h.${layer}`;
        return {
          ...normSlots('attentionNorm', `${at}.input_layernorm`, hidden, bias),
          ...linearSlots('attention', `${at}.self_attention.query_key_value`, [3 * mixed, hidden], bias),
          ...linearSlots('output', `${at}.self_attention.dense`, [hidden, mixed], bias),
          ...normSlots('mlpNorm', `${at}.post_attention_layernorm`, hidden, bias),
          ...linearSlots('up', `${at}.mlp.dense_h_to_4h`, [inner, hidden], bias),
          ...linearSlots('down', `${at}.mlp.dense_4h_to_h`, [hidden, inner], bias),
          // Which heads are left is told by their slopes.
          ...(widths?.heads && { slopes: { name: `${at}.self_attention.alibi_slopes`, shape: [heads] } }),
        };
      },
      side: (batch) => ({
        mask: maskSide(batch),
        alibi: alibiSide(batch, heads),
        places: alibiPlaces(batch),
      }),
      buildBlock(context, x) {
        const { g, side, w } = context;
        const norm = (v: typeof x, slot: string) => layerNorm(g, v, w, slot, c.layer_norm_epsilon);
        const residual = (before: typeof x, normed: typeof x) =>
          c.apply_residual_connection_post_layernorm ? normed : before;
        const first = norm(x, 'attentionNorm');
        const [queries, keys, values] = headParts(g, linear(g, first, w, 'attention'), size);
        const slopes = w['slopes'] && g.reshape(w['slopes'], [1, w['slopes'].shape[0]!, 1, 1, 1]);
        const alibi = slopes ? g.mul(side['places']!, slopes) : side['alibi']!;
        const mixed = attention(context, queries, keys, values, {
          size,
          bias: [alibi, side['mask']!],
        });
        const attended = g.add(residual(x, first), linear(g, mixed, w, 'output'));
        const second = norm(attended, 'mlpNorm');
        const up = activate(g, linear(g, second, w, 'up'), 'gelu_new');
        return g.add(residual(attended, second), linear(g, up, w, 'down'));
      },
      buildHead: (g, x, w) =>
        g.matmul(layerNorm(g, x, w, 'norm', c.layer_norm_epsilon), w['head']!, { transB: true }),
    };
  },
};
