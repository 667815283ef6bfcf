import type { GgufMapping } from '../family.ts';

/** llama.cpp's names and layout of LLaMA. */
export const llamaGguf: GgufMapping = {
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
