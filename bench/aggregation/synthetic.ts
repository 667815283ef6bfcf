// A model with the layers of a 1B one, and adapters of many parties for it, of random numbers.
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { OffsiteTuneSpec } from '../../src/api/index.ts';
import { sealArtifact } from '../../src/artifact/index.ts';
import { encodeFloats, type TensorToWrite, writeSafetensors } from '../../src/checkpoint/index.ts';
import { Random } from '../../src/data/index.ts';
import type { Bundle } from '../../src/emulator/index.ts';
import { layoutOf } from '../../src/emulator/plan/layout.ts';
import { type Model, openModel } from '../../src/model/index.ts';
import { adapterFile } from '../../src/plugin/adapter.ts';
import { adapterOf } from '../../src/tuning/index.ts';

/** The layers of Llama 3.2 1B; embedding and head, which no method reads, are small. */
const config = (layers: number) => ({
  ...{ architectures: ['LlamaForCausalLM'], model_type: 'llama', tie_word_embeddings: true },
  ...{ hidden_size: 2048, intermediate_size: 8192, num_hidden_layers: layers, vocab_size: 64 },
  ...{ num_attention_heads: 32, num_key_value_heads: 8, head_dim: 64, rms_norm_eps: 1e-5 },
  ...{ rope_theta: 500000, hidden_act: 'silu', max_position_embeddings: 2048, torch_dtype: 'bfloat16' },
});

/** Stands for the bundle that the adapters were trained on. */
export const emulator = `sha256:${'1'.repeat(64)}`;

export function bundleOf(layers: number): Pick<Bundle, 'plan' | 'layout'> {
  const all = Array.from({ length: layers }, (_, layer) => layer);
  const plan = { clusters: [all], kept: all, transferLayers: all, source: all };
  return { plan, layout: layoutOf(plan) };
}

export const modelIn = (directory: string) => join(directory, 'model');
export const adapterIn = (directory: string, party: number) => join(directory, `party-${party}`);

/** Writes what is not there yet. */
export function writeSynthetic(
  directory: string,
  { layers, parties, type }: { layers: number; parties: number; type: OffsiteTuneSpec['adapter'] },
): void {
  whole(modelIn(directory), (into) => {
    writeFileSync(join(into, 'config.json'), JSON.stringify(config(layers)));
    writeSafetensors(join(into, 'model.safetensors'), modelTensors(layers));
  });
  const model = openModel(modelIn(directory));
  for (let party = 0; party < parties; party++)
    whole(adapterIn(directory, party), (into) => {
      writeSafetensors(join(into, adapterFile), adapterTensors(model, layers, type, new Values(party + 1)));
      sealArtifact(into, { kind: 'Adapter', madeFrom: { emulator }, hyperparameters: { adapter: type } });
    });
  model.close();
}

function whole(directory: string, write: (into: string) => void): void {
  if (existsSync(directory)) return;
  rmSync(`${directory}.part`, { recursive: true, force: true });
  mkdirSync(`${directory}.part`, { recursive: true });
  write(`${directory}.part`);
  renameSync(`${directory}.part`, directory);
}

function modelTensors(layers: number): TensorToWrite[] {
  const values = new Values(0);
  const { hidden_size: hidden, intermediate_size: inner } = config(layers);
  const side = (config(layers).num_key_value_heads * hidden) / config(layers).num_attention_heads;
  const shapes: [name: string, shape: number[]][] = [
    ['model.embed_tokens.weight', [64, hidden]],
    ['model.norm.weight', [hidden]],
    ...Array.from({ length: layers }, (_, layer) =>
      (
        [
          ['self_attn.q_proj', [hidden, hidden]],
          ['self_attn.k_proj', [side, hidden]],
          ['self_attn.v_proj', [side, hidden]],
          ['self_attn.o_proj', [hidden, hidden]],
          ['mlp.gate_proj', [inner, hidden]],
          ['mlp.up_proj', [inner, hidden]],
          ['mlp.down_proj', [hidden, inner]],
          ['input_layernorm', [hidden]],
          ['post_attention_layernorm', [hidden]],
        ] as [string, number[]][]
      ).map(([name, shape]): [string, number[]] => [`model.layers.${layer}.${name}.weight`, shape]),
    ).flat(),
  ];
  return shapes.map(([name, shape]) => ({
    ...{ name, shape, dtype: 'BF16' as const },
    bytes: () => encodeFloats(values.next(sizeOf(shape), 0.02), 'BF16'),
  }));
}

function adapterTensors(
  model: Model,
  layers: number,
  type: OffsiteTuneSpec['adapter'],
  values: Values,
): TensorToWrite[] {
  const kind = adapterOf(type);
  return Array.from({ length: layers }, (_, layer) => kind.changes(model.architecture, layer))
    .flat()
    .flatMap(({ name, whole: isWhole, tensors }) =>
      tensors.map((tensor) => ({
        ...{ ...tensor, dtype: 'F32' as const },
        bytes() {
          const moved = values.next(sizeOf(tensor.shape), 0.002);
          if (isWhole) for (const [i, own] of model.read(name).entries()) moved[i]! += own;
          return encodeFloats(moved, 'F32');
        },
      })),
    );
}

const sizeOf = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);

const source = new Random(0);
const table = Float32Array.from({ length: 2 ** 20 }, () => source.next() / 2 ** 31 - 1);

/** Numbers around zero, out of a table from places that hang on the seed: billions of them are wanted. */
class Values {
  readonly #random: Random;

  constructor(seed: number) {
    this.#random = new Random(1, seed);
  }

  next(count: number, size: number): Float32Array {
    const values = new Float32Array(count);
    const mask = table.length - 1;
    let at = this.#random.next();
    const step = this.#random.next() | 1;
    for (let i = 0; i < count; i++) {
      at = (at + step) & mask;
      values[i] = size * table[at]!;
    }
    return values;
  }
}
