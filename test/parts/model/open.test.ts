import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import {
  encodeFloats,
  openCheckpoint,
  type TensorToWrite,
  writeSafetensors,
} from '../../../src/checkpoint/index.ts';
import { openModel } from '../../../src/model/index.ts';
import { writeTinyModel } from '../../support/tiny/index.ts';

const root = mkdtempSync(join(tmpdir(), 'offsite-open-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let count = 0;
let directory: string;
beforeEach(() => {
  directory = join(root, String(count++));
  writeTinyModel(directory, { layers: 1 });
});
const at = (name: string) => join(directory, name);
const config = (): Record<string, unknown> => JSON.parse(readFileSync(at('config.json'), 'utf8'));
/** Writes model.safetensors again with tensors in the place of its own, or beside them. */
function put(...tensors: TensorToWrite[]): void {
  const checkpoint = openCheckpoint(directory);
  const kept = [...checkpoint.tensors.values()].map(({ name, dtype, shape }) => {
    const bytes = checkpoint.readBytes(name);
    return { name, dtype, shape, bytes: () => bytes } as TensorToWrite;
  });
  checkpoint.close();
  const names = new Set(tensors.map(({ name }) => name));
  writeSafetensors(at('model.safetensors'), [...kept.filter(({ name }) => !names.has(name)), ...tensors]);
}

describe('a model', () => {
  it.each<[TensorToWrite['dtype'], number]>([
    ['I64', 8],
    ['BOOL', 1],
    ['F8_E4M3', 1],
    ['U16', 2],
  ])('may hold tensors of %s that it does not need, as old checkpoints do', (dtype, bytes) => {
    put({ name: 'model.layers.0.position_ids', dtype, shape: [4], bytes: () => new Uint8Array(4 * bytes) });
    const model = openModel(directory);
    expect(model.read('model.norm.weight')).toHaveLength(32);
    model.close();
  });

  it('with an adapter in its directory is refused: transformers would open it with that', () => {
    writeFileSync(at('adapter_config.json'), '{}');
    expect(() => openModel(directory)).toThrow(
      /adapter_config\.json: is an adapter in the model's directory/,
    );
  });

  const ones = (name: string, shape: number[], dtype: 'F32' | 'F16' = 'F32'): TensorToWrite => {
    const size = shape.reduce((a, b) => a * b, 1);
    return { name, dtype, shape, bytes: () => encodeFloats(new Float32Array(size).fill(1), dtype) };
  };

  it.each([
    ['layers.0.mlp.down_proj.weight', 'model.layers.0.mlp.down_proj.weight'],
    ['model.model.layers.0.mlp.down_proj.weight', 'model.layers.0.mlp.down_proj.weight'],
    ['language_model.model.norm.weight', 'model.norm.weight'],
    ['model_lm_head.weight', 'lm_head.weight'],
  ])('with two names for one weight is refused by both: %s', (name, place) => {
    put(ones(name, [4]));
    expect(() => openModel(directory)).toThrow(`tensor ${name} would stand in the place of ${place}`);
  });

  it('runs what its slots name, and tells of which tensors these are', () => {
    put(ones('model.layers.0.self_attn.rotary_emb.inv_freq', [4]), ones('norm.scale', [4]));
    const model = openModel(directory);
    expect([...model.named].filter((name) => !model.tensors.has(name))).toEqual([]);
    expect([...model.tensors.keys()].filter((name) => !model.named.has(name)).sort()).toEqual([
      'model.layers.0.self_attn.rotary_emb.inv_freq',
      'norm.scale',
    ]);
    model.close();
  });

  it('whose head is tied may hold it beside the embedding, bit for bit', () => {
    writeTinyModel(directory, { layers: 1, tied: true });
    const stored = openCheckpoint(directory);
    const { shape } = stored.tensors.get('model.embed_tokens.weight')!;
    const values = stored.read('model.embed_tokens.weight');
    stored.close();
    const head = (changed: Float32Array, as: 'F32' | 'F16' = 'F32') =>
      put({ name: 'lm_head.weight', dtype: as, shape, bytes: () => encodeFloats(changed, as) });
    head(values);
    openModel(directory).close();
    const message =
      'tensor lm_head.weight is not model.embed_tokens.weight, and its config.json ties the head to that';
    head(values.map((value, i) => (i === values.length - 1 ? value + 1 : value)));
    expect(() => openModel(directory)).toThrow(message);
    head(values, 'F16');
    expect(() => openModel(directory)).toThrow(message);
  });

  it('whose weight is of a type that is only kept is refused by the tensor', () => {
    put({
      name: 'model.norm.weight',
      dtype: 'F8_E4M3',
      shape: [32],
      bytes: () => new Uint8Array(32),
    });
    expect(() => openModel(directory)).toThrow(
      'tensor model.norm.weight is F8_E4M3; a weight must be F32, F16, BF16 or F64',
    );
  });

  it.each<[settings: unknown, message: string]>([
    [
      { quant_method: 'gptq', bits: 4 },
      'quantization_config: the weights are quantised (gptq); take the model',
    ],
    [{ quant_method: 'awq' }, 'the weights are quantised (awq)'],
    [{ quant_method: 'bitsandbytes', load_in_4bit: true }, 'the weights are quantised (bitsandbytes)'],
    [{ quant_method: 'fp8' }, 'the weights are quantised (fp8)'],
    [{ quant_method: 'mxfp4' }, 'the weights are quantised (mxfp4)'],
    [{ quant_method: '\u001b[2J' }, 'the weights are quantised (a method it does not name)'],
    [{}, 'the weights are quantised (a method it does not name)'],
  ])('with quantization_config %j is refused by the method', (settings, message) => {
    writeFileSync(at('config.json'), JSON.stringify({ ...config(), quantization_config: settings }));
    expect(() => openModel(directory)).toThrow(message);
  });

  it('whose quantization_config is null is read', () => {
    writeFileSync(at('config.json'), JSON.stringify({ ...config(), quantization_config: null }));
    openModel(directory).close();
  });

  it("with a byte order mark and Python's infinity in config.json is read", () => {
    const text = JSON.stringify({ ...config(), limit: 'here' }).replace('"here"', 'Infinity');
    writeFileSync(at('config.json'), `\ufeff${text}`);
    const model = openModel(directory);
    expect(model.config['limit']).toBe(Number.POSITIVE_INFINITY);
    expect(model.configText).toBe(text);
    model.close();
  });

  it.each<[what: string, text: string, message: string]>([
    ['infinity for a size', '{"hidden_size": Infinity}', 'config.json: architectures'],
    ['a list', '[]', 'config.json: is not a JSON object'],
    ['lists without end', `{"a": ${'['.repeat(100_000)}`, 'config.json: nests more than 64 deep'],
    [
      'ten megabytes',
      JSON.stringify({ a: 'a'.repeat(10_000_000) }),
      'config.json: has 10000008 bytes; at most',
    ],
    ['a Git LFS pointer', 'version https://git-lfs.github.com/spec/v1\noid', 'is a Git LFS pointer'],
  ])('whose config.json holds %s is refused', (_, text, message) => {
    writeFileSync(at('config.json'), text);
    expect(() => openModel(directory)).toThrow(message);
  });

  it.each([['mistral'], ['granite'], [null]])(
    'whose model_type is %j beside LlamaForCausalLM is refused by both names',
    (type) => {
      writeFileSync(at('config.json'), JSON.stringify({ ...config(), model_type: type }));
      expect(() => openModel(directory)).toThrow(
        `config.json: model_type ${type} and architectures LlamaForCausalLM are of two families`,
      );
    },
  );

  it('without a model_type is read by its architectures', () => {
    writeFileSync(at('config.json'), JSON.stringify({ ...config(), model_type: undefined }));
    const model = openModel(directory);
    expect(model.architecture.family).toBe('llama');
    model.close();
  });

  it.each<[object, string]>([
    [{ num_hidden_layers: 1025 }, 'config.json: 1025 layers are more than any model has (1024 at most)'],
    [
      { vocab_size: 2 ** 22 + 1 },
      'config.json: 4194305 tokens of the vocabulary are more than any model has (4194304 at most)',
    ],
    [
      { hidden_size: 65_540, head_dim: 64 },
      'config.json: 65540 numbers of a hidden state are more than any model has (65536 at most)',
    ],
    [
      { hidden_size: 65_536, num_attention_heads: 1025, num_key_value_heads: 1, head_dim: 64 },
      'config.json: 1025 heads are more than any model of width 65536 has (1024 at most)',
    ],
    [
      { hidden_size: 65_536, head_dim: 64, intermediate_size: 2 ** 20 + 1 },
      'config.json: 1048577 outputs of model.layers.0.mlp.gate_proj.weight are more than any model of width 65536 has (1048576 at most)',
    ],
    [
      { num_attention_heads: 65_536, num_key_value_heads: 1, head_dim: 2 },
      'config.json: 65536 heads are more than any model of width 32 has (64 at most)',
    ],
    [
      { intermediate_size: 10 ** 7 },
      'config.json: 10000000 outputs of model.layers.0.mlp.gate_proj.weight are more than any model of width 32 has (4096 at most)',
    ],
    [
      { num_attention_heads: 8, head_dim: 1024 },
      'config.json: 8192 outputs of model.layers.0.self_attn.q_proj.weight are more than any model of width 32 has (4096 at most)',
    ],
    [{ head_dim: 1026 }, 'config.json: heads of 1026 numbers are larger than any model has (1024 at most)'],
  ])(
    'of layers, heads or channels without number, %j, is refused: they cost memory and few weights',
    (change, message) => {
      writeFileSync(at('config.json'), JSON.stringify({ ...config(), ...change }));
      expect(() => openModel(directory)).toThrow(message);
    },
  );

  it('whose config.json is a directory is refused', () => {
    rmSync(at('config.json'));
    mkdirSync(at('config.json'));
    expect(() => openModel(directory)).toThrow('holds no config.json');
  });

  it('needs every weight in full, wherever the infinity stands', () => {
    const values = new Float32Array(32).fill(1);
    values[7] = Number.POSITIVE_INFINITY;
    put({ name: 'model.norm.weight', dtype: 'F32', shape: [32], bytes: () => encodeFloats(values, 'F32') });
    const model = openModel(directory);
    expect(() => model.read('model.norm.weight')).toThrow('model.norm.weight holds Infinity (element 7)');
    model.close();
  });
});
