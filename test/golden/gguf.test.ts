import { mkdirSync } from 'node:fs';
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
  [
    'llama-rope-yarn',
    'llama',
    { 'rope.scaling.type': 'yarn', 'rope.scaling.factor': 4, 'rope.scaling.original_context_length': 16 },
  ],
  ['llama-rope-llama3', 'llama', {}, { 'rope_freqs.weight': llama3Divisors() }],
  ['qwen2', 'qwen2', {}],
  ['qwen2-tied', 'qwen2', {}],
  ['qwen3', 'qwen3', { 'attention.key_length': 16 }],
])('%s from a GGUF file', async (variant, architecture, metadata, more) => {
  const fixture = fixtureOf(variant);
  const hub = join(work.path, variant);
  writeCheckpoint(hub, fixture);
  const [original, path] = [openModel(hub), join(work.path, `${variant}-gguf`)];
  mkdirSync(path);
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

test('a scaling of the angles that is not known is named', () => {
  const fixture = fixtureOf('llama');
  const hub = join(work.path, 'unknown');
  writeCheckpoint(hub, fixture);
  const [original, path] = [openModel(hub), join(work.path, 'unknown.gguf')];
  writeGguf(path, original, {
    architecture: 'llama',
    interleaved: true,
    metadata: { ...sizes(fixture), 'rope.scaling.type': 'spiral' },
  });
  original.close();
  expect(() => openModel(path)).toThrow(
    'GGUF rope.scaling.type spiral is not supported (none, linear, yarn are)',
  );
});
