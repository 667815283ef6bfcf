// The GGUF layout of LLaMA and its kin: metadata as config.json, tensors by the hub's names.
import { badModel } from '../../api/index.ts';
import { unnamedTokens } from '../../tokenizer/index.ts';
import type { GgufMapping } from '../family.ts';

/** What differs between LLaMA and its kin in a GGUF file. */
export interface GgufKin {
  /** `general.architecture`, which is also config.json's model_type. */
  architecture: string;
  /** In config.json's `architectures`. */
  hub: string;
  /** Whether the rows of each query and key head are interleaved for rotary embedding. */
  interleaved: boolean;
}

/** llama.cpp's names and layout of LLaMA and families that differ from it by a few tensors (gguf-py, constants.py). */
export const ggufOf = ({ architecture, hub, interleaved }: GgufKin): GgufMapping => ({
  architecture,
  config: (file) => {
    const { metadata, tensors } = file;
    const get = (name: string) => metadata[`${architecture}.${name}`];
    const heads = get('attention.head_count');
    const tokens = metadata['tokenizer.ggml.tokens'] as unknown[] | undefined;
    const rope = ropeOf(get, divisorsOf(file));
    const headSize = Number(get('attention.key_length') ?? Number(get('embedding_length')) / Number(heads));
    const { bos, eos } = unnamedTokens[String(metadata['tokenizer.ggml.model'])] ?? {};
    if (get('attention.causal') === false) throw badModel('GGUF attention.causal false is not supported');
    const rotated = get('rope.dimension_count');
    if (rotated !== undefined && rotated !== headSize)
      throw badModel(`GGUF rope.dimension_count ${rotated} in heads of ${headSize} is not supported`);
    return {
      architectures: [hub],
      model_type: architecture,
      hidden_size: get('embedding_length'),
      intermediate_size: get('feed_forward_length'),
      num_hidden_layers: get('block_count'),
      num_attention_heads: heads,
      num_key_value_heads: get('attention.head_count_kv') ?? heads,
      head_dim: headSize,
      vocab_size: tokens?.length ?? get('vocab_size'),
      max_position_embeddings: get('context_length'),
      // GGUF keeps it as float32: 1e-5 comes back as 0.0000099999997...
      rms_norm_eps: Number(Number(get('attention.layer_norm_rms_epsilon') ?? 1e-6).toPrecision(6)),
      ...rope,
      tie_word_embeddings: !tensors.has('output.weight'),
      hidden_act: 'silu',
      attention_bias: false,
      mlp_bias: false,
      bos_token_id: metadata['tokenizer.ggml.bos_token_id'] ?? bos ?? null,
      eos_token_id: metadata['tokenizer.ggml.eos_token_id'] ?? eos ?? null,
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
    const [, layer, part, kind] = /^blk\.(\d+)\.(\w+)\.(weight|bias)$/.exec(name) ?? [];
    const inner = parts[part ?? ''];
    return inner && `model.layers.${layer}.${inner}.${kind}`;
  },
  rotaryHeads(name, config) {
    if (interleaved && /\.attn_q\.weight$/.test(name)) return Number(config['num_attention_heads']);
    if (interleaved && /\.attn_k\.weight$/.test(name)) return Number(config['num_key_value_heads']);
    return undefined;
  },
});

const parts: Readonly<Record<string, string>> = {
  attn_q: 'self_attn.q_proj',
  attn_k: 'self_attn.k_proj',
  attn_v: 'self_attn.v_proj',
  attn_output: 'self_attn.o_proj',
  attn_q_norm: 'self_attn.q_norm',
  attn_k_norm: 'self_attn.k_norm',
  ffn_gate: 'mlp.gate_proj',
  ffn_up: 'mlp.up_proj',
  ffn_down: 'mlp.down_proj',
  attn_norm: 'input_layernorm',
  ffn_norm: 'post_attention_layernorm',
};

/** The tensor that divides each rotary frequency by a number of its own, as LLaMA 3.1's scaling comes to. */
const factors = 'rope_freqs.weight';

/** They become configuration, number by number: a file's own word on how many there are is looked at before. @throws OffsiteError BadModel */
function divisorsOf(file: Parameters<GgufMapping['config']>[0]): number[] | undefined {
  const shape = file.tensors.get(factors)?.shape;
  if (shape === undefined) return undefined;
  if (shape.length !== 1 || shape[0]! > mostFrequencies)
    throw badModel(
      `GGUF tensor ${factors} has the shape [${shape}]; it holds one number for each rotary frequency, at most ${mostFrequencies}`,
    );
  return [...file.read(factors)];
}

/** Half of the width of a head; no model's heads are near this wide. */
const mostFrequencies = 4096;

type Get = (name: string) => unknown;

/** Converters of 2023 wrote it by its older name. */
const factorOf = (get: Get) => get('rope.scaling.factor') ?? get('rope.scale_linear');

/** Of a scaling, what llama.cpp reads and nothing here does. */
const notRun = [
  ...['attn_factor', 'yarn_ext_factor', 'yarn_attn_factor', 'yarn_beta_fast', 'yarn_beta_slow'],
  'yarn_log_multiplier',
];

/** As llama.cpp has it: a factor alone is linear, and without one nothing is. */
function scalingTypeOf(get: Get): unknown {
  for (const own of notRun) {
    const value = get(`rope.scaling.${own}`);
    if (value !== undefined && !(own === 'attn_factor' && value === 1))
      throw badModel(`GGUF rope.scaling.${own} is not supported`);
  }
  const type = get('rope.scaling.type') ?? 'linear';
  const factor = Number(factorOf(get) ?? 0);
  return type === 'linear' && (factor === 0 || factor === 1) ? 'none' : type;
}

/** A scaling goes by its older name, which all versions of transformers read. @throws OffsiteError BadModel naming one that is not supported */
function ropeOf(get: Get, divisors: number[] | undefined) {
  const rope_theta = Number(get('rope.freq_base') ?? 10_000);
  const scaling = scalingOf(get, divisors);
  return scaling === undefined
    ? { rope_theta, rope_parameters: { rope_type: 'default', rope_theta } }
    : { rope_theta, rope_scaling: scaling };
}

function scalingOf(get: Get, divisors: number[] | undefined) {
  const type = scalingTypeOf(get);
  const original = get('rope.scaling.original_context_length') ?? get('context_length');
  if (divisors !== undefined && type !== 'none')
    throw badModel(`GGUF rope.scaling beside ${factors} is not supported`);
  if (divisors !== undefined)
    return {
      rope_type: 'longrope',
      factor: 1,
      original_max_position_embeddings: original,
      short_factor: divisors,
      long_factor: divisors,
    };
  if (type === 'none') return undefined;
  if (type !== 'linear' && type !== 'yarn')
    throw badModel(`GGUF rope.scaling.type ${type} is not supported (none, linear, yarn are)`);
  return {
    rope_type: type,
    factor: factorOf(get),
    ...(type === 'yarn' ? { original_max_position_embeddings: original } : {}),
  };
}
