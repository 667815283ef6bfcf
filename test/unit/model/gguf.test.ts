import { expect, test } from 'vitest';
import type { Checkpoint, TensorInfo } from '../../../src/checkpoint/index.ts';
import { ggufOf } from '../../../src/model/families/gguf.ts';
import { families } from '../../../src/model/families/index.ts';
import { hubView } from '../../../src/model/gguf.ts';

test.each([[[4097]], [[64, 64]], [[10 ** 9]]])(
  'frequencies of the shape %j are refused before they are read',
  (shape) => {
    const name = 'rope_freqs.weight';
    const file = {
      metadata: {},
      tensors: new Map([[name, { name, dtype: 'F32', shape } satisfies TensorInfo]]),
      read: () => expect.unreachable('it was read'),
    };
    const { config } = ggufOf({ architecture: 'llama', hub: 'LlamaForCausalLM', interleaved: true });
    expect(() => config(file)).toThrow(
      `GGUF tensor ${name} has the shape [${shape}]; it holds one number for each rotary frequency, at most 4096`,
    );
  },
);

test.each([
  ['blk.0.attn_q.bias', true],
  ['blk.0.attn_qkv.weight', true],
  ['blk.0.ffn_gate_inp.weight', true],
  ['rope_factors_long.weight', true],
  ['blk.0.attn_rot_embd.weight', false],
  ['blk.0.attn_norm.weight', false],
])(
  'a tensor that llama.cpp would run, and nothing here does, is refused by its name: %s',
  (name, refused) => {
    const file = {
      metadata: { 'general.architecture': 'llama', 'llama.attention.head_count': 1 },
      tensors: new Map([[name, { name, dtype: 'F32', shape: [4] }]]),
    } as unknown as Checkpoint;
    const { checkAllNamed } = hubView(file, families);
    const check = () => checkAllNamed(new Set(['model.layers.0.input_layernorm.weight']));
    if (refused) expect(check).toThrow(`GGUF tensor ${name} is not supported for architecture llama`);
    else check();
  },
);

test('a scaling goes by the name that all versions of transformers read', () => {
  const { config } = ggufOf({ architecture: 'llama', hub: 'LlamaForCausalLM', interleaved: true });
  const of = (fields: Record<string, unknown>) => {
    const named = Object.entries(fields).map(([name, value]) => [`llama.${name}`, value]);
    return config({ metadata: Object.fromEntries(named), tensors: new Map(), read: expect.unreachable });
  };
  const scaled = of({ 'rope.freq_base': 50_000, 'rope.scaling.type': 'linear', 'rope.scaling.factor': 4 });
  expect(scaled).toMatchObject({ rope_theta: 50_000, rope_scaling: { rope_type: 'linear', factor: 4 } });
  expect(scaled).not.toHaveProperty('rope_parameters');
  expect(of({})).toMatchObject({ rope_parameters: { rope_type: 'default', rope_theta: 10_000 } });
});

test('a SentencePiece tokenizer that names no BOS and end has its tokens 1 and 2, and config.json says so', () => {
  const { config } = ggufOf({ architecture: 'llama', hub: 'LlamaForCausalLM', interleaved: true });
  const of = (metadata: Record<string, unknown>) =>
    config({ metadata, tensors: new Map(), read: expect.unreachable });
  expect(of({ 'tokenizer.ggml.model': 'llama' })).toMatchObject({ bos_token_id: 1, eos_token_id: 2 });
  expect(of({ 'tokenizer.ggml.model': 'llama', 'tokenizer.ggml.eos_token_id': 7 })).toMatchObject({
    eos_token_id: 7,
  });
  expect(of({ 'tokenizer.ggml.model': 'gpt2' })).toMatchObject({ bos_token_id: null, eos_token_id: null });
});
