import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { onDisk } from '../../../src/artifact/index.ts';
import type { TensorInfo } from '../../../src/checkpoint/index.ts';
import { families } from '../../../src/model/families/index.ts';
import { checkLoraAlone, checkPeftConfig } from '../../../src/plugin/index.ts';
import { adapterOf } from '../../../src/tuning/index.ts';
import { fixtureOf, variants } from '../../support/golden/families/fixture.ts';

const checkpointOf = (
  tensors: readonly { name: string; shape: readonly number[] }[],
  read = (_: string) => new Float32Array(),
) => ({
  tensors: new Map(
    tensors.map(({ name, shape }): [string, TensorInfo] => [name, { name, shape, dtype: 'F32' }]),
  ),
  read,
});

describe('a LoRA adapter without its model', () => {
  it.each(variants())('of %s implies the settings that its training wrote', (variant) => {
    const { config } = fixtureOf(variant);
    const [name] = config['architectures'] as [string];
    const architecture = families
      .find(({ architectures }) => architectures.includes(name))!
      .parse(config, () => false);
    const layers = [0, architecture.depth - 1];
    const directory = mkdtempSync(join(tmpdir(), 'offsite-alone-'));
    for (const head of [false, true]) {
      const type = { type: 'lora', rank: 2, alpha: 6, dropout: '0.1', head } as const;
      const kind = adapterOf(type);
      const changes = layers.flatMap((layer) => kind.changes(architecture, layer));
      const all = [...changes, ...(kind.head?.(architecture) ?? [])].flatMap(({ tensors }) => tensors);
      const implied = checkLoraAlone(directory, checkpointOf(all), type);
      const written = kind.files(architecture, layers)['adapter_config.json']!;
      expect(JSON.parse(implied)).toEqual(JSON.parse(written));
      writeFileSync(join(directory, 'adapter_config.json'), written);
      checkPeftConfig(directory, implied, onDisk);
    }
    rmSync(directory, { recursive: true });
  });

  it('changes the same maps in each of its layers', () => {
    const pair = (layer: number, map: string) => [
      { name: `base_model.model.model.layers.${layer}.self_attn.${map}.lora_A.weight`, shape: [4, 8] },
      { name: `base_model.model.model.layers.${layer}.self_attn.${map}.lora_B.weight`, shape: [8, 4] },
    ];
    const check = (...tensors: ReturnType<typeof pair>[]) =>
      checkLoraAlone('adapter', checkpointOf(tensors.flat()), { type: 'lora' });
    expect(JSON.parse(check(pair(10, 'q_proj'), pair(2, 'q_proj')))).toMatchObject({
      layers_to_transform: [2, 10],
      target_modules: ['q_proj'],
    });
    expect(() => check(pair(0, 'q_proj'), pair(2, 'q_proj'), pair(2, 'k_proj'))).toThrow(
      'adapter/adapter.safetensors: changes other linear maps in layer 2 than in its other layers',
    );
    expect(() => check()).toThrow('holds no factors (lora_A, lora_B)');
  });

  it('has factors that can be run one after the other', () => {
    const path = 'base_model.model.model.layers.1.mlp.up_proj.lora';
    const tensors = [
      { name: `${path}_B.weight`, shape: [3, 1] },
      { name: `${path}_A.weight`, shape: [1, 2] },
    ];
    const check = (a: number, b: number) => () =>
      checkLoraAlone(
        'adapter',
        checkpointOf(tensors, (name) =>
          name.endsWith('A.weight') ? Float32Array.of(a, 0) : Float32Array.of(0, 0, b),
        ),
        { type: 'lora', rank: 1, alpha: 2 },
      );
    check(0.6, 2000)();
    expect(check(3e38, 0)).toThrow(
      `adapter: row 0 of tensor ${path}_A.weight has the norm 3.00e+38; at most 256 is taken`,
    );
    expect(check(1e-38, 2100)).toThrow(
      `adapter: column 0 of tensor ${path}_B.weight has the norm 4.20e+3 with alpha / rank; at most 4096 is taken`,
    );
  });

  it('of another type has no settings of PEFT', () => {
    const directory = mkdtempSync(join(tmpdir(), 'offsite-alone-'));
    checkPeftConfig(directory, undefined, onDisk);
    writeFileSync(join(directory, 'adapter_config.json'), '{}');
    expect(() => checkPeftConfig(directory, undefined, onDisk)).toThrow(
      'only an adapter of type lora has one',
    );
    rmSync(directory, { recursive: true });
  });
});
