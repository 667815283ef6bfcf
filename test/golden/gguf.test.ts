import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { Engine } from '../../src/engine/index.ts';
import { openModel } from '../../src/model/index.ts';
import { type Fixture, fixtureOf, writeCheckpoint } from '../support/golden/families/fixture.ts';
import { writeGguf } from '../support/golden/families/gguf.ts';
import { measure } from '../support/golden/families/measure.ts';
import { workDirectory } from '../support/golden/smollm2.ts';

const work = workDirectory();
afterAll(work.remove);

/** LLaMA 3.1's scaling as llama.cpp's converter stores it: what each frequency is divided by (here of heads of 8). */
function llama3Divisors(): Float32Array {
  const [factor, low, high, original] = [8, 1, 4, 16];
  return Float32Array.from({ length: 4 }, (_, i) => {
    const wavelength = 2 * Math.PI * 10_000 ** (i / 4);
    if (wavelength < original / high) return 1;
    if (wavelength > original / low) return factor;
    const smooth = (original / wavelength - low) / (high - low);
    return 1 / ((1 - smooth) / factor + smooth);
  });
}

const sizes = ({ config }: Fixture) => ({
  embedding_length: Number(config['hidden_size']),
  feed_forward_length: Number(config['intermediate_size']),
  block_count: Number(config['num_hidden_layers']),
  'attention.head_count': Number(config['num_attention_heads']),
  'attention.head_count_kv': Number(config['num_key_value_heads']),
  context_length: Number(config['max_position_embeddings']),
  vocab_size: Number(config['vocab_size']),
  'attention.layer_norm_rms_epsilon': Number(config['rms_norm_eps']),
  'rope.freq_base': 10_000,
});

test.each<
  [
    variant: string,
    architecture: string,
    metadata: Record<string, number | string>,
    more?: Record<string, Float32Array>,
  ]
>([
  ['llama', 'llama', {}],
  ['llama-rope-linear', 'llama', { 'rope.scaling.type': 'linear', 'rope.scaling.factor': 4 }],
  ['llama-rope-linear', 'llama', { 'rope.scaling.factor': 4 }],
  ['llama-rope-linear', 'llama', { 'rope.scale_linear': 4 }],
  ['llama', 'llama', { 'rope.scaling.type': 'none', 'rope.scaling.factor': 4 }],
  ['llama', 'llama', { 'rope.scaling.type': 'linear', 'rope.scaling.factor': 0 }],
  [
    'llama-rope-yarn',
    'llama',
    { 'rope.scaling.type': 'yarn', 'rope.scaling.factor': 4, 'rope.scaling.original_context_length': 16 },
  ],
  ['llama-rope-llama3', 'llama', {}, { 'rope_freqs.weight': llama3Divisors() }],
  ['qwen2', 'qwen2', {}],
  ['qwen2-tied', 'qwen2', {}],
  ['qwen3', 'qwen3', { 'attention.key_length': 16 }],
])('%s from a GGUF file: %s %j', async (variant, architecture, metadata, more) => {
  const fixture = fixtureOf(variant);
  const hub = join(work.path, variant);
  writeCheckpoint(hub, fixture);
  const [original, path] = [openModel(hub), mkdtempSync(join(work.path, 'gguf-'))];
  writeGguf(join(path, 'model.gguf'), original, {
    architecture,
    interleaved: architecture === 'llama',
    metadata: { ...sizes(fixture), ...metadata },
    ...(more ? { more } : {}),
  });
  original.close();

  const model = openModel(path);
  const engine = await Engine.create({ provider: 'cpu', threads: 1 });
  const parity = await measure(engine, model, fixture);
  await engine.dispose();
  model.close();
  expect(parity.logits).toBeLessThan(1e-3);
  expect(parity.loss).toBeLessThan(1e-3);
  expect(parity.gradients).toBeLessThan(1e-3);
});

test.each<
  [metadata: Record<string, number | string | boolean>, message: string, more?: Record<string, Float32Array>]
>([
  [
    { 'rope.scaling.type': 'spiral' },
    'GGUF rope.scaling.type spiral is not supported (none, linear, yarn are)',
  ],
  [
    { 'rope.scaling.factor': 8 },
    'GGUF rope.scaling beside rope_freqs.weight is not supported',
    { 'rope_freqs.weight': llama3Divisors() },
  ],
  [{ 'rope.scaling.yarn_beta_fast': 16 }, 'GGUF rope.scaling.yarn_beta_fast is not supported'],
  [{ 'rope.scaling.attn_factor': 2 }, 'GGUF rope.scaling.attn_factor is not supported'],
  [{ 'attention.causal': false }, 'GGUF attention.causal false is not supported'],
  [{ 'rope.dimension_count': 4 }, 'GGUF rope.dimension_count 4 in heads of'],
])('rotary embedding that is not known is named: %j', (metadata, message, more) => {
  const fixture = fixtureOf('llama');
  const place = mkdtempSync(join(work.path, 'unknown-'));
  const [hub, path] = [join(place, 'hub'), join(place, 'unknown.gguf')];
  writeCheckpoint(hub, fixture);
  const original = openModel(hub);
  writeGguf(path, original, {
    architecture: 'llama',
    interleaved: true,
    metadata: { ...sizes(fixture), ...metadata },
    ...(more ? { more } : {}),
  });
  original.close();
  expect(() => openModel(path)).toThrow(message);
});

test('a whole number has a point in the config.json that is made, where transformers takes none without', () => {
  const [place, fixture] = [mkdtempSync(join(work.path, 'whole-')), fixtureOf('llama')];
  const [hub, path] = [join(place, 'hub'), join(place, 'whole.gguf')];
  writeCheckpoint(hub, fixture);
  const original = openModel(hub);
  const metadata = { ...sizes(fixture), 'attention.layer_norm_rms_epsilon': 1 };
  writeGguf(path, original, { architecture: 'llama', interleaved: true, metadata });
  original.close();
  const model = openModel(path);
  expect(model.configText).toContain('\n  "rms_norm_eps": 1.0,\n  "rope_theta": 10000,\n');
  expect(model.canonicalConfig).toContain('"rms_norm_eps":1.0,');
  model.close();
});
