// config.json as transformers' configuration classes mean it (test/reference/config_defaults.py).
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { pack } from '../../../src/data/index.ts';
import { families } from '../../../src/model/families/index.ts';
import { fixtureOf } from '../../support/golden/families/fixture.ts';

interface Meaning {
  places: number;
  families: Record<
    string,
    {
      modelType: string;
      aliases: Record<string, string>;
      defaults: Record<string, unknown>;
      refusesNull: string[];
      floats: string[];
    }
  >;
  angles: Record<
    string,
    {
      variant: string;
      change: Record<string, unknown>;
      drop: string[];
      refused?: string;
      angles?: Record<string, { cos: number[]; sin: number[] }>;
    }
  >;
}
const meant = JSON.parse(
  readFileSync(new URL('../../fixtures/config-defaults.json', import.meta.url), 'utf8'),
) as Meaning;

const familyOf = (name: string) => families.find((family) => family.name === name)!;

const parse = (variant: string, change: Record<string, unknown>, drop: readonly string[] = []) => {
  const { family, config } = fixtureOf(variant);
  const changed: Record<string, unknown> = { ...config, ...change };
  for (const name of drop) delete changed[name];
  return familyOf(family).parse(changed, () => false);
};

/** Settings of a class that change no logits: training's, the tokenizer's, a classifier's, the way to the same number. */
const idle =
  /^(initializer_range|init_std|use_cache|\w+_token_id|\w*dropout|\w+_pdrop|layerdrop|summary_\w+|reorder_and_upcast_attn|is_decoder)$/;

/** What the class has and its model uses nowhere. */
const unused: Record<string, string[]> = { gemma3: ['attn_logit_softcapping'], llama: ['pretraining_tp'] };

/** Taken with the neutral value alone, which is that of the class. */
const neutral = ['use_bidirectional_attention'];

/** A config.json without them is refused. */
const sizes =
  /^(vocab_size|hidden_size|intermediate_size|ffn_dim|num_hidden_layers|num_attention_heads|n_embd|n_layer|n_head|n_positions)$/;

describe.each(Object.entries(meant.families))('%s', (name, meaning) => {
  const { modelType, aliases, defaults, refusesNull, floats } = meaning;
  const family = familyOf(name);
  const { config } = fixtureOf(name);

  it('is the class of its model_type, with its aliases', () => {
    expect(family.modelType).toBe(modelType);
    expect(family.aliases ?? {}).toMatchObject(aliases);
  });

  it('reads every setting that counts, with the default of its class', () => {
    const counting = Object.entries(defaults).filter(
      ([field]) => !idle.test(field) && !unused[name]?.includes(field),
    );
    expect(counting.filter(([field]) => !(field in family.settings.shape))).toEqual([]);
    const required = Object.fromEntries(
      Object.entries(config).filter(
        ([field]) =>
          field === 'architectures' ||
          sizes.test(field) ||
          (name === 'opt' && field === 'max_position_embeddings'),
      ),
    );
    const read = family.settings.parse(required) as Record<string, unknown>;
    for (const [field, value] of counting)
      if (!(field in required))
        expect(read[field] ?? null, field).toEqual(neutral.includes(field) ? null : value);
  });

  it('takes no null that its class does not take', () => {
    const taken = refusesNull.filter(
      (field) =>
        field in family.settings.shape && family.settings.safeParse({ ...config, [field]: null }).success,
    );
    expect(taken).toEqual([]);
  });

  it('knows the numbers that its class does not take without a point, which go by no other name', () => {
    expect([...family.floats].sort()).toEqual([...floats].sort());
    expect(Object.entries(family.aliases ?? {}).filter(([, own]) => floats.includes(own))).toEqual([]);
  });
});

/** What transformers reads otherwise than it stands there, or leaves out, or what we do not compute: refused, and how. */
const refused: Record<string, string> = {
  'rope_theta inside and outside': 'rope_theta and rope_parameters.rope_theta are one setting, and differ',
  'rope_theta null': 'rope_theta: ',
  'rope_scaling and rope_parameters': 'rope_scaling and rope_parameters are one setting, and differ',
  'linear without factor': 'rope_type linear has no factor',
  'llama3 without low_freq_factor': 'rope_type llama3 has no low_freq_factor',
  'yarn, factor absent': 'rope_type yarn has no factor',
  'yarn, original inside and outside': 'original_max_position_embeddings are one setting, and differ',
  'yarn, rope_theta 1': 'rope_theta 1 and the factors of rope_type yarn give angles that are no numbers',
  'a type of before in llama': 'rope_type su is not supported',
  'part of a head in llama': 'partial_rotary_factor: this family rotates whole heads',
  'phi3 longrope, original inside alone': 'original_max_position_embeddings are one setting, and differ',
  'phi3 linear': 'rope_type linear is not supported (default, longrope, su, yarn are)',
  'phi3, parts inside and outside': 'partial_rotary_factor are one setting, and differ',
  'gpt-neox, rope_theta outside': 'rope_theta: this family has it in rope_parameters or as rotary_emb_base',
  'gpt-neox, partial_rotary_factor outside': 'partial_rotary_factor: this family has it in rope_parameters',
  'gpt-neox, both bases': 'rotary_emb_base and rope_parameters.rope_theta are one setting, and differ',
  'gemma3, type for rope_type': 'rope_scaling.type: in this family it is called rope_type',
  'gemma3, both': 'rope_scaling and rope_parameters are one setting, and differ',
  'gemma3, rope_parameters of no kind': 'rope_parameters.full_attention: ',
  'gemma3, truncate': 'rope_scaling.truncate: ',
};

describe('rotary angles', () => {
  it.each(Object.entries(meant.angles))('%s', (name, { variant, change, drop, angles }) => {
    const message = refused[name];
    if (message !== undefined) {
      expect(() => parse(variant, change, drop)).toThrow(message);
      return;
    }
    const architecture = parse(variant, change, drop);
    const trunk = Array.from({ length: meant.places }, () => 1);
    const [batch] = pack([{ row: 0, trunk, branches: [], bytes: [] }], { capacity: meant.places, batch: 1 });
    for (const [kind, { cos, sin }] of Object.entries(angles!)) {
      const side = architecture.side(batch!, kind);
      const half = side['cos']!.shape[1]!;
      const place = Number(side['positions']!.data[meant.places - 1]);
      const last = (table: string) => [...side[table]!.data.slice(place * half, (place + 1) * half)];
      expect(last('cos'), kind).toHaveLength(cos.length);
      for (const [table, expected] of Object.entries({ cos, sin }))
        last(table).forEach((value, i) => {
          expect(Math.abs(Number(value) - expected[i]!), `${kind} ${table} ${i}`).toBeLessThan(5e-6);
        });
    }
  });
});

describe('a setting', () => {
  it.each<[variant: string, change: Record<string, unknown>, message: string]>([
    ['llama', { is_causal: false }, 'is_causal'],
    ['gpt2', { is_causal: null }, 'is_causal'],
    ['llama', { attribute_map: { rms_norm_eps: 'initializer_range' } }, 'attribute_map: transformers would'],
    ['gpt2', { attribute_map: {} }, 'attribute_map'],
    ['gpt2', { model_name: 'internlm2' }, 'model_name: transformers would take another tokenizer by it'],
    ['phi3', { default_theta: 0.01 }, 'default_theta: say it as rope_theta'],
    ['bloom', { transformers_weights: 'other.safetensors' }, 'transformers_weights'],
    ['opt', { per_layer_config: { 0: { hidden_act: 'gelu' } } }, 'per_layer_config'],
    ['llama', { sliding_window: 2 }, 'sliding_window: this family has no windows'],
    ['gpt-neox', { layer_types: ['sliding_attention'] }, 'layer_types'],
    ['gpt2', { attention_chunk_size: 4 }, 'attention_chunk_size'],
    ['gpt2', { add_cross_attention: true }, 'add_cross_attention'],
    ['gpt-neox', { head_dim: 16 }, 'head_dim: it is hidden_size / num_attention_heads'],
    ['mistral', { layer_types: null }, 'layer_types: with it transformers reads the model as'],
    ['mistral', { mlp_bias: true }, 'mlp_bias: this family has no such biases'],
    ['mistral', { attention_bias: true }, 'attention_bias: this family has no such biases'],
    ['qwen2', { mlp_bias: true }, 'mlp_bias: this family has no such biases'],
    ['qwen3', { mlp_bias: true }, 'mlp_bias: this family has no such biases'],
    ['gemma2', { mlp_bias: true }, 'mlp_bias: this family has no such biases'],
    ['gemma3', { mlp_bias: true }, 'mlp_bias: this family has no such biases'],
    ['phi3', { attention_bias: true }, 'attention_bias: this family has no such biases'],
    ['qwen2', { head_dim: null }, 'head_dim'],
    ['qwen2', { layer_types: ['full_attention'] }, 'layer_types has 1 layers, num_hidden_layers 4'],
    [
      'qwen3',
      { layer_types: Array(4).fill('sliding_attention') },
      'layer_types names layers with a window, and sliding_window switches it off',
    ],
    ['gpt2', { num_attention_heads: 1 }, 'n_head and num_attention_heads are one setting, and differ'],
    ['gpt2', { hidden_size: 64 }, 'n_embd and hidden_size are one setting, and differ'],
    ['bloom', { num_hidden_layers: 1 }, 'n_layer and num_hidden_layers are one setting, and differ'],
    ['bloom', { slow_but_exact: true, pretraining_tp: 2 }, 'slow_but_exact beside a pretraining_tp above 1'],
    ['bloom', { n_embed: 64 }, 'hidden_size and n_embed are one setting, and differ'],
    ['llama', { rope_theta: 0 }, 'rope_theta'],
    ['llama', { rope_parameters: { rope_theta: 0 } }, 'rope_parameters.rope_theta'],
    ['llama', { rope_parameters: null, rope_theta: 1e-320 }, 'give angles that are no numbers'],
    ['llama', { rope_parameters: { rope_theta: 1e-320 } }, 'give angles that are no numbers'],
    ['llama', { head_dim: 7 }, "7 of a head's 7 numbers would be rotated"],
  ])('of %s is refused by its name: %j', (variant, change, message) => {
    expect(() => parse(variant, change)).toThrow(message);
  });

  it('has its other name alone, too', () => {
    const other = { hidden_size: 32, num_hidden_layers: 4, num_attention_heads: 2 };
    const { hidden, depth, widths } = parse('gpt2', other, ['n_embd', 'n_layer', 'n_head']);
    expect([hidden, depth, widths.heads]).toEqual([32, 4, 2]);
  });

  it('that says what is so anyway is taken', () => {
    const same = { sliding_window: null, layer_types: Array(4).fill('full_attention'), mlp_bias: false };
    for (const variant of ['llama', 'gpt-neox', 'opt', 'phi3']) expect(parse(variant, same).depth).toBe(4);
    expect(parse('gpt-neox', { rope_theta: 10_000, head_dim: 8 }).depth).toBe(4);
    for (const sums of [{ slow_but_exact: true }, { pretraining_tp: 4 }])
      expect(parse('bloom', sums).depth).toBe(4);
    expect(parse('llama', { rope_theta: 10_000 }).depth).toBe(4);
  });

  it('of windows that is absent is that of the class: every layer of Mistral, none of Qwen2 before it is switched on', () => {
    const kinds = (variant: string, change: Record<string, unknown>, drop: string[]) => {
      const { kind, depth } = parse(variant, change, drop);
      return Array.from({ length: depth }, (_, layer) => kind!(layer)[0]).join('');
    };
    expect(kinds('mistral', {}, ['sliding_window'])).toBe('ssss');
    expect(kinds('mistral', { sliding_window: null }, [])).toBe('ffff');
    expect(kinds('qwen2', {}, ['sliding_window', 'layer_types'])).toBe('ffff');
    const switched = { use_sliding_window: true, max_window_layers: 1 };
    expect(kinds('qwen2', switched, ['sliding_window', 'layer_types'])).toBe('fsss');
    expect(kinds('gemma2', {}, ['sliding_window', 'layer_types'])).toBe('sfsf');
    expect(kinds('phi3', {}, ['sliding_window'])).toBe('ffff');
  });
});
