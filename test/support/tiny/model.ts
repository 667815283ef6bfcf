import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { encodeFloats, type TensorToWrite, writeSafetensors } from '../../../src/checkpoint/index.ts';
import { tinyVocabulary, writeTinyTokenizer } from './tokenizer.ts';
import { NormalPool } from './weights.ts';

/** A random LLaMA; what is not said is tiny (5 layers of width 32, half a megabyte in all). */
export interface TinyModel {
  layers?: number;
  hidden?: number;
  intermediate?: number;
  heads?: number;
  keyValueHeads?: number;
  vocabulary?: number;
  tied?: boolean;
  dtype?: 'F32' | 'F16' | 'BF16';
  seed?: number;
  /** Bytes after which the checkpoint goes on in another shard; one file when absent. */
  shardBytes?: number;
  /** Laid over config.json. */
  config?: Record<string, unknown>;
}

/** Writes the model in the hub's layout, tensor by tensor: equal settings give equal bytes. */
export function writeTinyModel(directory: string, options: TinyModel = {}): void {
  const { layers = 5, hidden = 32, intermediate = 64, heads = 4, keyValueHeads = 2 } = options;
  const { vocabulary = tinyVocabulary, tied = false, dtype = 'F32', seed = 1 } = options;
  mkdirSync(directory, { recursive: true });
  const config = {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    hidden_size: hidden,
    intermediate_size: intermediate,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: keyValueHeads,
    vocab_size: vocabulary,
    max_position_embeddings: 2048,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    tie_word_embeddings: tied,
    hidden_act: 'silu',
    torch_dtype: { F32: 'float32', F16: 'float16', BF16: 'bfloat16' }[dtype],
    ...options.config,
  };
  writeFileSync(join(directory, 'config.json'), JSON.stringify(config, null, 2));
  writeTinyTokenizer(directory);

  const pool = new NormalPool(seed);
  const matrix = (name: string, rows: number, columns: number, deviation = 1 / Math.sqrt(columns)) => ({
    name,
    dtype,
    shape: [rows, columns],
    bytes: () => encodeFloats(pool.take(rows * columns, deviation), dtype),
  });
  const norm = (name: string) => ({
    name,
    dtype,
    shape: [hidden],
    bytes: () => encodeFloats(new Float32Array(hidden).fill(1), dtype),
  });
  const keys = (hidden / heads) * keyValueHeads;
  const block = (prefix: string) => [
    norm(`${prefix}.input_layernorm.weight`),
    matrix(`${prefix}.self_attn.q_proj.weight`, hidden, hidden),
    matrix(`${prefix}.self_attn.k_proj.weight`, keys, hidden),
    matrix(`${prefix}.self_attn.v_proj.weight`, keys, hidden),
    matrix(`${prefix}.self_attn.o_proj.weight`, hidden, hidden),
    norm(`${prefix}.post_attention_layernorm.weight`),
    matrix(`${prefix}.mlp.gate_proj.weight`, intermediate, hidden),
    matrix(`${prefix}.mlp.up_proj.weight`, intermediate, hidden),
    matrix(`${prefix}.mlp.down_proj.weight`, hidden, intermediate),
  ];
  writeShards(directory, options.shardBytes, [
    matrix('model.embed_tokens.weight', vocabulary, hidden, 1),
    ...Array.from({ length: layers }, (_, layer) => block(`model.layers.${layer}`)).flat(),
    norm('model.norm.weight'),
    ...(tied ? [] : [matrix('lm_head.weight', vocabulary, hidden)]),
  ]);
}

function writeShards(directory: string, limit: number | undefined, tensors: TensorToWrite[]): void {
  if (limit === undefined) {
    writeSafetensors(join(directory, 'model.safetensors'), tensors);
    return;
  }
  const shards: TensorToWrite[][] = [[]];
  let free = limit;
  for (const tensor of tensors) {
    const bytes = tensor.shape.reduce((a, b) => a * b, 1) * (tensor.dtype === 'F32' ? 4 : 2);
    if (bytes > free && shards.at(-1)?.length) {
      shards.push([]);
      free = limit;
    }
    shards.at(-1)?.push(tensor);
    free -= bytes;
  }
  const weightMap: Record<string, string> = {};
  shards.forEach((shard, i) => {
    const file = `model-${i + 1}-of-${shards.length}.safetensors`;
    writeSafetensors(join(directory, file), shard);
    for (const { name } of shard) weightMap[name] = file;
  });
  writeFileSync(join(directory, 'model.safetensors.index.json'), JSON.stringify({ weight_map: weightMap }));
}
