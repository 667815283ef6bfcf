import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { families } from '../../../src/model/families/index.ts';
import { fixtureOf, variants } from '../../support/golden/families/fixture.ts';

const parse = (variant: string, change: Record<string, unknown>) => {
  const { config } = fixtureOf(variant);
  const changed = { ...config, ...change };
  const [architecture] = config['architectures'] as [string];
  const family = families.find(({ architectures }) => architectures.includes(architecture))!;
  return family.parse(changed, () => false);
};

describe('a configuration', () => {
  it.each<[variant: string, field: string, value: unknown, message: string]>([
    ['llama', 'hidden_size', undefined, 'config.json: hidden_size'],
    ['llama', 'num_hidden_layers', '4', 'config.json: num_hidden_layers'],
    ['llama', 'num_key_value_heads', 3, '4 heads and 3 key-value heads do not fit'],
    ['llama', 'hidden_act', 'mish', 'config.json: hidden_act'],
    [
      'llama',
      'rope_parameters',
      { rope_type: 'spiral' },
      'rope_type spiral is not supported (default, linear,',
    ],
    [
      'llama',
      'rope_parameters',
      { rope_type: 'longrope', short_factor: [1], long_factor: [1, 1, 1, 1] },
      'short_factor of rope_type longrope must have 4 numbers',
    ],
    ['qwen3', 'layer_types', ['chunked_attention'], 'config.json: layer_types.0'],
    ['gpt2', 'scale_attn_by_inverse_layer_idx', true, 'config.json: scale_attn_by_inverse_layer_idx'],
    ['gpt2', 'n_head', 5, '32 wide, 5 heads and 5 key-value heads do not fit'],
    ['opt', 'ffn_dim', undefined, 'config.json: ffn_dim'],
    ['bloom', 'n_layer', undefined, 'config.json: n_layer'],
    ['gemma2', 'use_bidirectional_attention', true, 'config.json: use_bidirectional_attention'],
    ['gemma3', 'use_bidirectional_attention', true, 'config.json: use_bidirectional_attention'],
    ['gpt-neox', 'rotary_pct', 2, 'config.json: rotary_pct'],
    ['phi3', 'intermediate_size', 0, 'config.json: intermediate_size'],
  ])('of %s whose %s is %j is refused by that name', (variant, field, value, message) => {
    expect(() => parse(variant, { [field]: value })).toThrow(message);
  });

  it('of every variant gives each layer the same slots and shapes, under names of its own', () => {
    for (const variant of variants()) {
      const architecture = parse(variant, {});
      const shapes = (layer: number) =>
        Object.entries(architecture.block(layer)).map(([slot, { shape, transposed }]) => [
          slot,
          shape,
          transposed,
        ]);
      const names = (layer: number) => Object.values(architecture.block(layer)).map(({ name }) => name);
      for (let layer = 1; layer < architecture.depth; layer++) {
        expect(shapes(layer), variant).toEqual(shapes(0));
        expect(
          names(layer).some((name) => names(0).includes(name)),
          variant,
        ).toBe(false);
      }
    }
  });
});

describe('what adapters take for granted of every family', () => {
  it.each(variants())('%s: maps that join the hidden states, and a head that can be trained', (variant) => {
    const architecture = parse(variant, {});
    const { hidden, head, embedding } = architecture;
    for (const slot of ['output', 'down']) {
      const { shape, transposed } = architecture.block(0)[slot]!;
      expect(shape[transposed ? 1 : 0]).toBe(hidden);
    }
    expect(head['head']!.untied === undefined).toBe(head['head']!.name !== embedding.name);
    expect(head['head']!.untied ?? head['head']!.name).toMatch(/^(lm_head|embed_out)\.weight$/);
  });
});

describe('families', () => {
  it('have names and architectures of their own', () => {
    const names = families.flatMap(({ name, architectures }) => [name, ...architectures]);
    expect(new Set(names).size).toBe(names.length);
  });

  it('are all in the docs', () => {
    const docs = readFileSync(new URL('../../../docs/families.md', import.meta.url), 'utf8');
    for (const { name, architectures } of families) {
      expect(docs).toMatch(new RegExp(`^\\| .*\\b${name}\\b`, 'm'));
      for (const architecture of architectures) expect(docs).toContain(`\`${architecture}\``);
    }
  });

  it('are known by name in their own folder only', () => {
    const root = fileURLToPath(new URL('../../../', import.meta.url));
    const files = globSync(['src/**/*.ts', 'operator/**/*.ts'], { cwd: root }).filter(
      (file) => !file.startsWith(join('src', 'model', 'families')),
    );
    expect(files.length).toBeGreaterThan(100);
    const architectures = families.flatMap((family) => family.architectures);
    for (const file of files) {
      const text = readFileSync(join(root, file), 'utf8');
      expect(
        architectures.filter((name) => text.includes(name)),
        file,
      ).toEqual([]);
      expect(text, file).not.toMatch(/family\s*[!=]==\s*['"]/);
    }
  });
});
