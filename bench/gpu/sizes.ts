// What the check computes with: SmolLM2-135M's exact shape with weights made by a rule, or a tiny one for the dry run.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { encodeFloats, writeSafetensors } from '../../src/checkpoint/index.ts';
import { type PackedBatch, pack, Random } from '../../src/data/index.ts';

/** A model's shape, and how much is computed with it. */
export interface Size {
  readonly hidden: number;
  readonly layers: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly feedForward: number;
  readonly vocabulary: number;
  /** Layers that the emulator leaves out, and those of it that train. */
  readonly dropped: readonly number[];
  readonly trained: readonly number[];
  /** Tokens of a row, rows of a batch. */
  readonly length: number;
  readonly probe: { readonly batches: number; readonly rows: number };
  readonly steps: { readonly count: number; readonly rows: number };
  /** Side of the square products by which the device's peak is measured, and how many follow each other. */
  readonly matrix: { readonly side: number; readonly count: number };
}

export const sizes = {
  smollm2: {
    ...{ hidden: 576, layers: 30, heads: 9, keyValueHeads: 3, feedForward: 1536, vocabulary: 49152 },
    ...{ dropped: [12, 13, 14, 15, 16, 17], trained: [0, 1, 28, 29], length: 128 },
    probe: { batches: 8, rows: 32 },
    steps: { count: 20, rows: 16 },
    matrix: { side: 4096, count: 16 },
  },
  tiny: {
    ...{ hidden: 24, layers: 3, heads: 3, keyValueHeads: 1, feedForward: 32, vocabulary: 480 },
    ...{ dropped: [1], trained: [0, 2], length: 16 },
    probe: { batches: 1, rows: 2 },
    steps: { count: 2, rows: 2 },
    matrix: { side: 64, count: 2 },
  },
} as const satisfies Record<string, Size>;

/** Where the rows of either side's work begin. */
export const seeds = { probe: 1, train: 1000 };
/** So large that twenty steps of wrong gradients are seen in the losses. */
export const learningRate = 1e-3;

export const sourceOf = ({ layers, dropped }: Size): number[] =>
  Array.from({ length: layers }, (_, layer) => layer).filter((layer) => !dropped.includes(layer));

const configOf = (size: Size) => ({
  model_type: 'llama',
  architectures: ['LlamaForCausalLM'],
  vocab_size: size.vocabulary,
  hidden_size: size.hidden,
  intermediate_size: size.feedForward,
  num_hidden_layers: size.layers,
  num_attention_heads: size.heads,
  num_key_value_heads: size.keyValueHeads,
  head_dim: size.hidden / size.heads,
  hidden_act: 'silu',
  max_position_embeddings: 8192,
  rms_norm_eps: 1e-5,
  rope_theta: 100000,
  tie_word_embeddings: true,
  attention_bias: false,
  mlp_bias: false,
});

/** Writes the model in the hub's layout, bfloat16: norms of ones, and maps whose outputs are as large as their inputs. */
export function writeModel(directory: string, size: Size): void {
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'config.json'), JSON.stringify(configOf(size)));
  writeSafetensors(
    join(directory, 'model.safetensors'),
    tensorsOf(size).map(([name, shape], seed) => ({
      name,
      shape,
      dtype: 'BF16',
      bytes: () => encodeFloats(shape.length === 1 ? ones(shape[0]!) : weights(shape, seed), 'BF16'),
    })),
  );
}

function tensorsOf(size: Size): [name: string, shape: number[]][] {
  const { hidden, feedForward } = size;
  const keys = (hidden / size.heads) * size.keyValueHeads;
  const parts: [part: string, shape: number[]][] = [
    ['input_layernorm', [hidden]],
    ['self_attn.q_proj', [hidden, hidden]],
    ['self_attn.k_proj', [keys, hidden]],
    ['self_attn.v_proj', [keys, hidden]],
    ['self_attn.o_proj', [hidden, hidden]],
    ['post_attention_layernorm', [hidden]],
    ['mlp.gate_proj', [feedForward, hidden]],
    ['mlp.up_proj', [feedForward, hidden]],
    ['mlp.down_proj', [hidden, feedForward]],
  ];
  const blocks = Array.from({ length: size.layers }, (_, layer) =>
    parts.map(([part, shape]): [string, number[]] => [`model.layers.${layer}.${part}.weight`, shape]),
  );
  return [
    ['model.embed_tokens.weight', [size.vocabulary, hidden]],
    ...blocks.flat(),
    ['model.norm.weight', [hidden]],
  ];
}

const ones = (length: number) => new Float32Array(length).fill(1);

/** Uniform, of variance 1 / width: xorshift over the tensor's number, which takes seconds for all of SmolLM2's. */
function weights([rows, width]: readonly number[], seed: number): Float32Array {
  const values = new Float32Array(rows! * width!);
  const scale = Math.sqrt(3 / width!) / 2 ** 31;
  let state = Math.imul(seed + 1, 0x9e3779b1) | 1;
  for (let i = 0; i < values.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    values[i] = state * scale;
  }
  return values;
}

/** Rows of token ids by chance, all of one length: no side has padding to compute. */
export function rowsOf({ vocabulary, length }: Size, count: number, seed: number): number[][] {
  const random = new Random(seed);
  return Array.from({ length: count }, () => Array.from({ length }, () => random.below(vocabulary)));
}

/** The same as batches of so many rows. */
export function batchesOf(rows: readonly (readonly number[])[], batch: number): PackedBatch[] {
  const examples = rows.map((trunk, row) => ({ row, trunk: [...trunk], branches: [], bytes: [] }));
  return pack(examples, { capacity: rows[0]!.length, batch });
}

/** Numbers of one block. */
export function blockNumbers({ hidden, feedForward, heads, keyValueHeads }: Size): number {
  const keys = (hidden / heads) * keyValueHeads;
  return 2 * hidden * hidden + 2 * hidden * keys + 3 * hidden * feedForward;
}

/**
 * Multiplications and additions of the linear maps for one token, as bench/main.ts counts them: attention and norms come for
 * nothing. Training: all blocks forward, all from the lowest trained one on to their input, the trained ones' own, and the head twice.
 */
export const operationsOf = (size: Size) => ({
  probe: 2 * blockNumbers(size) * size.layers,
  train:
    2 * blockNumbers(size) * (2 * sourceOf(size).length + size.trained.length) +
    4 * size.vocabulary * size.hidden,
});
