import { z } from 'zod';
import { badModel } from '../../api/index.ts';
import { attentionMask, type PackedBatch } from '../../data/index.ts';
import type { Tensor } from '../../engine/index.ts';
import type { GraphBuilder, Value } from '../../graph/index.ts';
import type { Architecture, Family, Slots } from '../family.ts';
import { parseRope, type RopeConfig, ropeFields, ropeTables } from '../rope.ts';

const configSchema = z.looseObject({
  architectures: z.array(z.string()).min(1),
  hidden_size: z.int().positive(),
  intermediate_size: z.int().positive(),
  num_hidden_layers: z.int().positive(),
  num_attention_heads: z.int().positive(),
  num_key_value_heads: z.int().positive().nullish(),
  head_dim: z.int().positive().nullish(),
  vocab_size: z.int().positive(),
  rms_norm_eps: z.number().positive().default(1e-6),
  tie_word_embeddings: z.boolean().default(false),
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
  hidden_act: z.literal('silu').default('silu'),
  sliding_window: z.int().positive().nullish(),
  use_sliding_window: z.boolean().nullish(),
  layer_types: z.array(z.string()).nullish(),
  ...ropeFields,
});

/** LLaMA (arXiv 2302.13971, 2307.09288) and what differs from it by a setting only: Mistral (window), Qwen2 (q, k, v biases). */
export const llama: Family = {
  name: 'llama',
  architectures: ['LlamaForCausalLM', 'MistralForCausalLM', 'Qwen2ForCausalLM'],
  parse(config) {
    const parsed = configSchema.safeParse(config);
    if (!parsed.success) {
      const problems = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
      throw badModel(`config.json: ${problems.join('; ')}`);
    }
    return new Llama(parsed.data);
  },
  gguf: {
    architecture: 'llama',
    config: (metadata, has) => {
      const get = (name: string) => metadata[`llama.${name}`];
      const heads = get('attention.head_count');
      const tokens = metadata['tokenizer.ggml.tokens'] as unknown[] | undefined;
      const theta = get('rope.freq_base') ?? 10_000;
      return {
        architectures: ['LlamaForCausalLM'],
        model_type: 'llama',
        hidden_size: get('embedding_length'),
        intermediate_size: get('feed_forward_length'),
        num_hidden_layers: get('block_count'),
        num_attention_heads: heads,
        num_key_value_heads: get('attention.head_count_kv') ?? heads,
        head_dim: get('attention.key_length') ?? Number(get('embedding_length')) / Number(heads),
        vocab_size: tokens?.length ?? get('vocab_size'),
        max_position_embeddings: get('context_length'),
        // GGUF keeps it as float32: 1e-5 comes back as 0.0000099999997...
        rms_norm_eps: Number(Number(get('attention.layer_norm_rms_epsilon') ?? 1e-6).toPrecision(6)),
        rope_theta: theta,
        rope_parameters: { rope_type: 'default', rope_theta: theta },
        tie_word_embeddings: !has('output.weight'),
        hidden_act: 'silu',
        attention_bias: false,
        mlp_bias: false,
        bos_token_id: metadata['tokenizer.ggml.bos_token_id'] ?? null,
        eos_token_id: metadata['tokenizer.ggml.eos_token_id'] ?? null,
        torch_dtype: 'float32',
      };
    },
    hubName(name) {
      const outer = {
        'token_embd.weight': 'model.embed_tokens.weight',
        'output_norm.weight': 'model.norm.weight',
        'output.weight': 'lm_head.weight',
      }[name];
      if (outer !== undefined) return outer;
      const [, layer, part] = /^blk\.(\d+)\.(\w+)\.weight$/.exec(name) ?? [];
      const inner = ggufParts[part ?? ''];
      return inner && `model.layers.${layer}.${inner}.weight`;
    },
    rotaryHeads(name, config) {
      if (/\.attn_q\.weight$/.test(name)) return Number(config['num_attention_heads']);
      if (/\.attn_k\.weight$/.test(name)) return Number(config['num_key_value_heads']);
      return undefined;
    },
  },
};

const ggufParts: Readonly<Record<string, string>> = {
  attn_q: 'self_attn.q_proj',
  attn_k: 'self_attn.k_proj',
  attn_v: 'self_attn.v_proj',
  attn_output: 'self_attn.o_proj',
  ffn_gate: 'mlp.gate_proj',
  ffn_up: 'mlp.up_proj',
  ffn_down: 'mlp.down_proj',
  attn_norm: 'input_layernorm',
  ffn_norm: 'post_attention_layernorm',
};

class Llama implements Architecture {
  readonly family = 'llama';
  readonly depth: number;
  readonly hidden: number;
  readonly vocabulary: number;
  readonly embedding;
  readonly head: Slots;
  readonly #config: z.infer<typeof configSchema>;
  readonly #heads: number;
  readonly #groups: number;
  readonly #headSize: number;
  readonly #rope: RopeConfig;
  readonly #window: number;
  readonly #biases: { query: boolean; output: boolean };

  constructor(config: z.infer<typeof configSchema>) {
    this.#config = config;
    this.depth = config.num_hidden_layers;
    this.hidden = config.hidden_size;
    this.vocabulary = config.vocab_size;
    this.#heads = config.num_attention_heads;
    this.#groups = config.num_key_value_heads ?? this.#heads;
    this.#headSize = config.head_dim ?? this.hidden / this.#heads;
    if (!Number.isInteger(this.#headSize) || this.#heads % this.#groups !== 0) {
      throw badModel(
        `config.json: ${this.hidden} wide, ${this.#heads} heads and ${this.#groups} key-value heads do not fit`,
      );
    }
    const rope = parseRope(config, this.#headSize);
    if ('unsupported' in rope)
      throw badModel(
        `config.json: rope_type ${rope.unsupported} is not supported (default, linear, dynamic, llama3, yarn are)`,
      );
    this.#rope = rope;
    const kind = config.architectures[0];
    const qwen = kind === 'Qwen2ForCausalLM';
    if (qwen && config.use_sliding_window && config.layer_types?.includes('sliding_attention')) {
      throw badModel('config.json: use_sliding_window with layer_types is not supported');
    }
    this.#window = kind === 'MistralForCausalLM' ? (config.sliding_window ?? Infinity) : Infinity;
    this.#biases = { query: qwen || config.attention_bias, output: !qwen && config.attention_bias };
    this.embedding = { name: 'model.embed_tokens.weight', shape: [this.vocabulary, this.hidden] };
    this.head = {
      norm: { name: 'model.norm.weight', shape: [this.hidden] },
      head: { ...this.embedding, ...(config.tie_word_embeddings ? {} : { name: 'lm_head.weight' }) },
    };
  }

  block(layer: number): Slots {
    const { hidden } = this;
    const { intermediate_size: inner, mlp_bias: mlpBias } = this.#config;
    const queries = this.#heads * this.#headSize;
    const keys = this.#groups * this.#headSize;
    const slots: Record<string, { name: string; shape: number[] }> = {};
    const norm = (slot: string, name: string) => {
      slots[slot] = { name: `model.layers.${layer}.${name}.weight`, shape: [hidden] };
    };
    const linear = (slot: string, name: string, to: number, from: number, bias: boolean) => {
      slots[slot] = { name: `model.layers.${layer}.${name}.weight`, shape: [to, from] };
      if (bias) slots[`${slot}Bias`] = { name: `model.layers.${layer}.${name}.bias`, shape: [to] };
    };
    norm('attentionNorm', 'input_layernorm');
    linear('query', 'self_attn.q_proj', queries, hidden, this.#biases.query);
    linear('key', 'self_attn.k_proj', keys, hidden, this.#biases.query);
    linear('value', 'self_attn.v_proj', keys, hidden, this.#biases.query);
    linear('output', 'self_attn.o_proj', hidden, queries, this.#biases.output);
    norm('mlpNorm', 'post_attention_layernorm');
    linear('gate', 'mlp.gate_proj', inner, hidden, mlpBias);
    linear('up', 'mlp.up_proj', inner, hidden, mlpBias);
    linear('down', 'mlp.down_proj', hidden, inner, mlpBias);
    return slots;
  }

  side(batch: PackedBatch): Record<string, Tensor> {
    const { size, length } = batch;
    const { cos, sin } = ropeTables(this.#rope, length);
    const table = [length, this.#headSize / 2];
    return {
      mask: {
        dtype: 'float32',
        shape: [size, 1, 1, length, length],
        data: attentionMask(batch, this.#window),
      },
      positions: { dtype: 'int64', shape: [size, length], data: BigInt64Array.from(batch.positions, BigInt) },
      cos: { dtype: 'float32', shape: table, data: cos },
      sin: { dtype: 'float32', shape: table, data: sin },
    };
  }

  buildBlock(
    g: GraphBuilder,
    x: Value,
    side: Readonly<Record<string, Value>>,
    w: Readonly<Record<string, Value>>,
  ): Value {
    const attended = g.add(
      x,
      this.#attention(g, g.rmsNorm(x, w['attentionNorm']!, this.#config.rms_norm_eps), side, w),
    );
    return g.add(attended, this.#mlp(g, g.rmsNorm(attended, w['mlpNorm']!, this.#config.rms_norm_eps), w));
  }

  buildHead(g: GraphBuilder, x: Value, w: Readonly<Record<string, Value>>): Value {
    return g.matmul(g.rmsNorm(x, w['norm']!, this.#config.rms_norm_eps), w['head']!, { transB: true });
  }

  #attention(
    g: GraphBuilder,
    x: Value,
    side: Readonly<Record<string, Value>>,
    w: Readonly<Record<string, Value>>,
  ): Value {
    const [batch, length] = x.shape as [number, number, number];
    const [heads, groups, size] = [this.#heads, this.#groups, this.#headSize];
    const perGroup = heads / groups;
    const rotate = (v: Value) => g.rotary(v, side['positions']!, side['cos']!, side['sin']!);
    // The query heads of one key-value head lie behind each other, so that keys and values are never repeated.
    const queries = g.reshape(
      g.transpose(
        g.reshape(rotate(linear(g, x, w, 'query')), [batch, length, groups, perGroup, size]),
        [0, 2, 3, 1, 4],
      ),
      [batch, groups, perGroup * length, size],
    );
    const grouped = (v: Value) => g.transpose(g.reshape(v, [batch, length, groups, size]), [0, 2, 1, 3]);
    const keys = grouped(rotate(linear(g, x, w, 'key')));
    const values = grouped(linear(g, x, w, 'value'));
    const scores = g.reshape(g.matmul(queries, keys, { transB: true, alpha: 1 / Math.sqrt(size) }), [
      batch,
      groups,
      perGroup,
      length,
      length,
    ]);
    const weights = g.reshape(g.softmax(g.add(scores, side['mask']!)), [
      batch,
      groups,
      perGroup * length,
      length,
    ]);
    const mixed = g.reshape(g.matmul(weights, values), [batch, groups, perGroup, length, size]);
    return linear(
      g,
      g.reshape(g.transpose(mixed, [0, 3, 1, 2, 4]), [batch, length, heads * size]),
      w,
      'output',
    );
  }

  #mlp(g: GraphBuilder, x: Value, w: Readonly<Record<string, Value>>): Value {
    return linear(g, g.mul(g.silu(linear(g, x, w, 'gate')), linear(g, x, w, 'up')), w, 'down');
  }
}

/** x W^T + b over the last dimension; the bias where the block has one. */
function linear(g: GraphBuilder, x: Value, w: Readonly<Record<string, Value>>, slot: string): Value {
  const product = g.matmul(x, w[slot]!, { transB: true });
  const bias = w[`${slot}Bias`];
  return bias === undefined ? product : g.add(product, bias);
}
