// PEFT's own adapter (test/reference/peft_trains.py, on a bundle of the tiny model with the transfer layers 0 and 3) sealed.
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { hashFiles, openArtifact, sealArtifact } from '../../../src/artifact/index.ts';
import {
  encodeFloats,
  openCheckpoint,
  type StoredDType,
  writeSafetensors,
} from '../../../src/checkpoint/index.ts';
import { openBlocks } from '../../../src/emulator/bundle.ts';
import type { Bundle } from '../../../src/emulator/index.ts';
import { layoutOf, tensorSlots } from '../../../src/emulator/plan/layout.ts';
import { type Model, openModel } from '../../../src/model/index.ts';
import { exportAdapter, openAdapter, sealAdapter } from '../../../src/plugin/index.ts';
import { writeTinyModel } from '../../support/tiny/index.ts';

const fixture = fileURLToPath(new URL('../../fixtures/peft/', import.meta.url));
const emulator = `sha256:${'1'.repeat(64)}`;
const transferLayers = [0, 3];
const root = mkdtempSync(join(tmpdir(), 'offsite-seal-'));
let model: Model;
let bundle: Bundle;
beforeAll(() => {
  writeTinyModel(join(root, 'model'));
  model = openModel(join(root, 'model'));
  const kept = [0, 1, 2, 3, 4];
  const plan = { clusters: kept.map((layer) => [layer]), kept, transferLayers, source: kept };
  bundle = { model, plan, layout: layoutOf(plan), artifact: { digest: emulator } } as unknown as Bundle;
});
afterAll(() => {
  model.close();
  rmSync(root, { recursive: true, force: true });
});

let count = 0;
let source: string;
let output: string;
beforeEach(() => {
  source = join(root, `peft-${count}`);
  output = join(root, `sealed-${count++}`);
  mkdirSync(source);
  for (const name of readdirSync(fixture)) cpSync(join(fixture, name), join(source, name));
});
const weights = () => join(source, 'adapter_model.safetensors');
function settings(change: Record<string, unknown>): void {
  const file = join(source, 'adapter_config.json');
  writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), ...change }));
}

type Tensors = Map<string, { shape: readonly number[]; values: Float32Array }>;
function rewrite(
  change: (tensors: Tensors) => void,
  dtype: StoredDType & ('F32' | 'F16' | 'BF16') = 'F32',
): void {
  const checkpoint = openCheckpoint(weights());
  const tensors: Tensors = new Map(
    [...checkpoint.tensors.values()].map(({ name, shape }) => [
      name,
      { shape, values: checkpoint.read(name) },
    ]),
  );
  checkpoint.close();
  change(tensors);
  writeSafetensors(
    weights(),
    [...tensors].map(([name, { shape, values }]) => ({
      name,
      shape,
      dtype,
      bytes: () => encodeFloats(values, dtype),
    })),
  );
}
const nameOf = (layer: number, map = 'q_proj', factor = 'A') =>
  `base_model.model.model.layers.${layer}.self_attn.${map}.lora_${factor}.weight`;
const openSealed = () => openAdapter(output, { model, emulator, bundle });

describe('an adapter that PEFT trained', () => {
  it('becomes an artifact that PlugIn takes, with its own settings', async () => {
    await sealAdapter(source, bundle, output);
    const adapter = openSealed();
    expect(adapter.type).toEqual({
      type: 'lora',
      rank: 4,
      alpha: 16,
      targetModules: ['q_proj', 'v_proj'],
      dropout: '0.05',
    });
    expect(adapter.names).toHaveLength(8);
    const checkpoint = openCheckpoint(weights());
    const [a, b] = [checkpoint.read(nameOf(3)), checkpoint.read(nameOf(3, 'q_proj', 'B'))];
    checkpoint.close();
    const name = 'model.layers.3.self_attn.q_proj.weight';
    const [before, after] = [model.read(name), adapter.get(name)!];
    const change = (row: number, column: number) =>
      4 * [0, 1, 2, 3].reduce((sum, k) => sum + b[row * 4 + k]! * a[k * 32 + column]!, 0);
    for (const [row, column] of [
      [0, 0],
      [5, 31],
      [31, 7],
    ] as const)
      expect(after[row * 32 + column]! - before[row * 32 + column]!).toBeCloseTo(change(row, column), 5);
    adapter.close();
  });

  it.each(['F16', 'BF16'] as const)('in %s is widened to float32', async (dtype) => {
    rewrite(() => {}, dtype);
    const checkpoint = openCheckpoint(weights());
    const expected = checkpoint.read(nameOf(0));
    checkpoint.close();
    await sealAdapter(source, bundle, output);
    const sealed = openCheckpoint(join(output, 'adapter.safetensors'));
    expect(sealed.tensors.get(nameOf(0))!.dtype).toBe('F32');
    expect(sealed.read(nameOf(0))).toEqual(expected);
    sealed.close();
  });

  it('beside the factors of a bundle without transfer layers becomes one too', async () => {
    const plan = {
      clusters: [
        [0, 1],
        [2, 3, 4],
      ],
      kept: [0, 3],
      transferLayers: [],
      source: [0, 3],
    };
    const maps = { query: { is: 'factors', rank: 2 }, value: { is: 'factors', rank: 2 } } as const;
    const layout = layoutOf(plan, new Map(plan.kept.map((layer) => [layer, { maps }])));
    const directory = join(root, 'factors');
    mkdirSync(directory, { recursive: true });
    cpSync(join(root, 'model', 'config.json'), join(directory, 'config.json'));
    writeSafetensors(
      join(directory, 'model.safetensors'),
      tensorSlots(model.architecture, layout).map(({ name, shape }) => ({
        ...{ name, shape, dtype: 'F32' as const },
        bytes: () =>
          encodeFloats(
            model.tensors.has(name)
              ? model.read(name)
              : new Float32Array(shape.reduce((x, y) => x * y, 1)).fill(0.01),
            'F32',
          ),
      })),
    );
    const factored = {
      ...bundle,
      plan,
      layout,
      model: openBlocks(directory, layout, hashFiles(directory).files),
    };
    await sealAdapter(source, factored, output);
    factored.model.close();
    const adapter = openAdapter(output, { model, emulator, bundle: factored });
    expect(adapter.changed).toHaveLength(4);
    expect(adapter.get('model.layers.3.self_attn.q_proj.weight')).not.toEqual(
      model.read('model.layers.3.self_attn.q_proj.weight'),
    );
    expect(Object.keys(adapter.on(model).inserted(3))).toEqual(['queryA', 'queryB', 'valueA', 'valueB']);
    adapter.close();
  });

  it('may bring a head that was trained in full', async () => {
    settings({ modules_to_save: ['lm_head'] });
    const head = model.read('lm_head.weight').map((value) => value + 0.01);
    rewrite((tensors) =>
      tensors.set('base_model.model.lm_head.weight', {
        shape: model.tensors.get('lm_head.weight')!.shape,
        values: head,
      }),
    );
    await sealAdapter(source, bundle, output);
    const adapter = openSealed();
    expect(adapter.type.head).toBe(true);
    expect(adapter.get('lm_head.weight')).toEqual(head);
    adapter.close();
  });

  it('goes back to PEFT as it came', async () => {
    rewrite(() => {});
    await sealAdapter(source, bundle, output);
    const exported = `${output}-exported`;
    await exportAdapter(output, exported);
    expect(readdirSync(exported).sort()).toEqual(['adapter_config.json', 'adapter_model.safetensors']);
    const [came, goes] = [
      openCheckpoint(weights()),
      openCheckpoint(join(exported, 'adapter_model.safetensors')),
    ];
    for (const [name, { shape }] of came.tensors) {
      expect(goes.tensors.get(name)).toMatchObject({ shape, dtype: 'F32' });
      expect(goes.read(name)).toEqual(came.read(name));
    }
    expect(goes.tensors.size).toBe(came.tensors.size);
    came.close();
    goes.close();
    expect(JSON.parse(readFileSync(join(exported, 'adapter_config.json'), 'utf8'))).toMatchObject({
      peft_type: 'LORA',
      r: 4,
      lora_alpha: 16,
      target_modules: ['q_proj', 'v_proj'],
    });
    await expect(exportAdapter(output, exported)).rejects.toThrow('is there already');
  });

  it('is neither sealed nor exported into an artifact, which stays one', async () => {
    await sealAdapter(source, bundle, output);
    const inside = 'lies inside .*, which is an artifact of kind Adapter';
    const nested = join(output, 'nested');
    await expect(sealAdapter(source, bundle, nested)).rejects.toThrow(new RegExp(`^--output: .*${inside}`));
    await expect(exportAdapter(output, nested)).rejects.toThrow(new RegExp(inside));
    openArtifact(output);
  });

  it('is sealed again after its export, to the same tensors and settings', async () => {
    await sealAdapter(source, bundle, output);
    const [exported, again] = [`${output}-exported`, `${output}-again`];
    await exportAdapter(output, exported);
    await sealAdapter(exported, bundle, again);
    const [first, second] = [openArtifact(output).manifest, openArtifact(again).manifest];
    expect(second.files).toEqual(first.files);
    // The export says nothing of dropout, which is a matter of training.
    expect(second.hyperparameters).toMatchObject({ adapter: { type: 'lora', rank: 4, alpha: 16 } });
  });

  it.each([
    [
      'a name twice, of which a reader may take either',
      (text: string) => text.replace('{', '{"base_model_name_or_path": "evil/x",'),
    ],
    ['infinity in the place of null', (text: string) => text.replace('null', '1e999')],
    ['a name in escapes', (text: string) => text.replace('peft_type', 'peft\\u005ftype')],
  ])('does not go to PEFT where its settings have %s', async (_, change) => {
    await sealAdapter(source, bundle, output);
    const { files: __, ...description } = openArtifact(output).manifest;
    const file = join(output, 'adapter_config.json');
    writeFileSync(file, change(readFileSync(file, 'utf8')));
    sealArtifact(output, description);
    await expect(exportAdapter(output, `${output}-exported`)).rejects.toThrow(
      `${file}: has a name twice, or a value in an unusual spelling; write each once, as plain JSON`,
    );
  });

  it.each<[what: string, change: (settings: Record<string, unknown>) => void, message: string]>([
    [
      "another's model",
      (settings) => (settings['base_model_name_or_path'] = 'evil/repo'),
      'adapter_config.json: base_model_name_or_path: must be null, as the manifest and the tensors say',
    ],
    [
      'a library to load',
      (settings) => (settings['auto_mapping'] = { base_model_class: 'X', parent_library: 'evil' }),
      'adapter_config.json: auto_mapping: is not for an adapter to set; it must be absent',
    ],
    [
      'another alpha',
      (settings) => (settings['lora_alpha'] = 1e6),
      'lora_alpha: must be 16, as the manifest',
    ],
    ['no rank', (settings) => delete settings['r'], 'adapter_config.json: r: must be 4'],
  ])('does not go to PEFT where its settings name %s', async (_, change, message) => {
    await sealAdapter(source, bundle, output);
    const { files: __, ...description } = openArtifact(output).manifest;
    const file = join(output, 'adapter_config.json');
    const written = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
    change(written);
    writeFileSync(file, JSON.stringify(written));
    sealArtifact(output, description);
    await expect(exportAdapter(output, `${output}-exported`)).rejects.toThrow(message);
    expect(existsSync(`${output}-exported`)).toBe(false);
  });

  it('is not sealed, taken, or given to PEFT with factors that overflow there, though their product is the same', async () => {
    await sealAdapter(source, bundle, output);
    rewrite((tensors) => {
      for (const [name, { values }] of tensors)
        for (const [i, value] of values.entries())
          values[i] = value * (name.includes('lora_A') ? 2 ** 120 : 2 ** -120);
    });
    const row = /: row 0 of tensor .*q_proj\.lora_A\.weight has the norm .*e\+3[56]; at most 256 is taken/;
    await expect(sealAdapter(source, bundle, `${output}-scaled`)).rejects.toThrow(row);
    expect(existsSync(`${output}-scaled`)).toBe(false);
    const { files: _, ...description } = openArtifact(output).manifest;
    cpSync(weights(), join(output, 'adapter.safetensors'));
    sealArtifact(output, description);
    expect(openSealed).toThrow(row);
    await expect(exportAdapter(output, `${output}-exported`)).rejects.toThrow(row);
    expect(existsSync(`${output}-exported`)).toBe(false);
  });

  it('goes to PEFT with no tensor that its manifest does not imply', async () => {
    await sealAdapter(source, bundle, output);
    const { files: _, ...description } = openArtifact(output).manifest;
    const adapter = { type: 'lora', rank: 4, alpha: 16, targetModules: ['q_proj'] };
    sealArtifact(output, { ...description, hyperparameters: { adapter } });
    await expect(exportAdapter(output, `${output}-exported`)).rejects.toThrow(
      "adapter.safetensors: changes q_proj, v_proj; the manifest's targetModules are q_proj",
    );
    expect(existsSync(`${output}-exported`)).toBe(false);
  });

  it.each<[change: Record<string, unknown>, message: string]>([
    [{ use_dora: true }, 'adapter_config.json: use_dora: DoRA is not supported; train without it'],
    [{ use_rslora: true }, 'use_rslora: rsLoRA is not supported'],
    [{ rank_pattern: { q_proj: 8 } }, 'rank_pattern: a rank of their own for some modules is not supported'],
    [{ alpha_pattern: { q_proj: 8 } }, 'alpha_pattern: an alpha of their own'],
    [{ lora_bias: true }, 'lora_bias: biases of the factors'],
    [{ bias: 'all' }, 'bias: biases that are trained beside the factors are not supported'],
    [{ modules_to_save: ['embed_tokens'] }, 'modules_to_save: embed_tokens may not be trained in full'],
    [{ modules_to_save: ['lm_head'] }, 'lacks tensor base_model.model.lm_head.weight'],
    [{ init_lora_weights: 'pissa' }, "init_lora_weights: a start that changes the base model's weights"],
    [{ trainable_token_indices: [1] }, 'trainable_token_indices: trained rows of the embedding'],
    [
      { tomorrows_method: { on: true } },
      'tomorrows_method: a setting other than its default is not supported',
    ],
    [{ peft_type: 'ADALORA' }, 'peft_type: ADALORA is not supported; LORA is'],
    [{ r: 2 }, 'lora_A.weight is [4,32], it must be [2,32]'],
    [{ constructor: true }, 'adapter_config.json: constructor: a setting other than its default is not'],
    [{ r: 0 }, 'adapter_config.json: rank'],
    [{ lora_alpha: 0 }, 'adapter_config.json: alpha'],
    [{ lora_alpha: 'much' }, 'adapter_config.json: lora_alpha'],
    [{ lora_dropout: 2 }, 'adapter_config.json: lora_dropout'],
  ])('with %j is refused by name, and nothing is left', async (change, message) => {
    settings(change);
    await expect(sealAdapter(source, bundle, output)).rejects.toThrow(message);
    expect(readdirSync(root).filter((name) => join(root, name).startsWith(output))).toEqual([]);
  });

  it.each<[what: string, change: (tensors: Tensors) => void, message: string]>([
    [
      'a layer that is no transfer layer',
      (tensors) => tensors.set(nameOf(1), tensors.get(nameOf(0))!),
      `tensor ${nameOf(1)} is foreign: only tensors of the transfer layers 0, 3 may come back`,
    ],
    ['a transfer layer less', (tensors) => tensors.delete(nameOf(3)), `lacks tensor ${nameOf(3)}`],
    [
      'other maps in one layer',
      (tensors) => tensors.set(nameOf(0, 'k_proj'), { shape: [4, 32], values: new Float32Array(128) }),
      `lacks tensor ${nameOf(0, 'k_proj', 'B')}`,
    ],
    [
      'the vector of DoRA',
      (tensors) =>
        tensors.set(nameOf(0).replace('lora_A.weight', 'lora_magnitude_vector'), {
          shape: [32],
          values: new Float32Array(32),
        }),
      'lora_magnitude_vector is foreign',
    ],
    ['NaN', (tensors) => (tensors.get(nameOf(0))!.values[5] = Number.NaN), 'holds NaN (element 5)'],
    [
      'an absurd factor',
      (tensors) => tensors.get(nameOf(0, 'v_proj', 'B'))!.values.fill(1e9),
      'model.layers.0.self_attn.v_proj.weight is',
    ],
    [
      'factors of another width',
      (tensors) => tensors.set(nameOf(0), { shape: [4, 16], values: new Float32Array(64) }),
      `tensor ${nameOf(0)} is [4,16], it must be [4,32]`,
    ],
    ['no factors at all', (tensors) => tensors.clear(), 'holds no factors (lora_A, lora_B)'],
  ])('with %s is refused', async (_, change, message) => {
    rewrite(change);
    await expect(sealAdapter(source, bundle, output)).rejects.toThrow(message);
  });

  it('in a file that may run code, or none, is refused', async () => {
    rmSync(weights());
    await expect(sealAdapter(source, bundle, output)).rejects.toThrow('holds no adapter_model.safetensors');
    writeFileSync(join(source, 'adapter_model.bin'), '');
    await expect(sealAdapter(source, bundle, output)).rejects.toThrow(
      'adapter_model.bin, whose reading may run code',
    );
  });

  it('is not written over what is there', async () => {
    mkdirSync(output);
    await expect(sealAdapter(source, bundle, output)).rejects.toThrow('is there already');
  });
});
