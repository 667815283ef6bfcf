// Inserted modules and trained heads, from tuning to what is released.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openBundle } from '../../src/emulator/index.ts';
import { openModel } from '../../src/model/index.ts';
import { readAnalysis } from '../../src/plugin/index.ts';
import { workDirectory } from '../support/golden/smollm2.ts';
import { type Ended, offsite, savedStatus } from '../support/offsite/index.ts';
import { setField, writeFamilyProject, writeManifests, writeTinyData } from '../support/tiny/index.ts';

interface Run {
  adapter: object;
  /** The head's tensor in the saved model, where it is trained and saved. */
  head?: string;
  /** Changes to the manifests. */
  build?: Record<string, unknown>;
  plug?: Record<string, unknown>;
}

/** What is trained of which family. */
const runs: Readonly<Record<string, Run>> = {
  gpt2: { adapter: { type: 'lora', rank: 2, dropout: '0.1', head: true }, head: 'lm_head.weight' },
  'gpt-neox': { adapter: { type: 'bitfit', head: true }, head: 'embed_out.weight' },
  llama: { adapter: { type: 'bottleneck', size: 8, head: true }, plug: { 'output.save': 'adapter' } },
  qwen2: {
    adapter: { type: 'lora', rank: 2, dropout: '0.1' },
    build: {
      transferLayers: { count: 0 },
      sharing: 'none',
      compression: { type: 'lowRank', ratio: '0.5' },
    },
    plug: {
      // The rows that the data owner validates on, to compare the cells.
      'evaluation.tasks': [
        { name: 'tiny', data: { uri: 'file:data/validation.jsonl' }, format: 'multipleChoice' },
      ],
      analysis: {
        interpolation: { coefficients: ['0', '0.5'] },
        layerImportance: { methods: ['delete', 'rewind'] },
      },
    },
  },
};
const saved = ['gpt2', 'gpt-neox'] as const;

const work = workDirectory();
afterAll(work.remove);
const at = (...parts: string[]) => join(work.path, ...parts);
let ended: Ended;

beforeAll(async () => {
  writeTinyData(at('data'));
  const manifests = Object.entries(runs).flatMap(([family, { adapter, build, plug }]) => {
    const three = writeFamilyProject(work.path, family, adapter);
    for (const [field, value] of Object.entries(build ?? {})) setField(three[0]!, `spec.${field}`, value);
    for (const [field, value] of Object.entries(plug ?? {})) setField(three[2]!, `spec.${field}`, value);
    return three;
  });
  const other = (kind: string, family: string, name: string) => {
    const found = manifests.find((one) => one.kind === kind && one.metadata.name === family)!;
    const copy = structuredClone(found);
    setField(copy, 'metadata.name', name);
    setField(copy, 'spec.output.uri', `file:${family}/out/${name}`);
    return copy;
  };
  const whole = other('PlugIn', 'llama', 'whole');
  setField(whole, 'spec.output.save', 'model');
  const biases = other('OffsiteTune', 'qwen2', 'biases');
  setField(biases, 'spec.adapter', { type: 'bitfit' });
  writeManifests(at('resources.yaml'), [...manifests, whole, biases]);
  ended = await offsite(['run', '-f', at('resources.yaml'), '--work-dir', at('work')]);
});

test('all are trained, plugged in and evaluated', () => {
  for (const family of Object.keys(runs)) {
    const { evaluation } = savedStatus(at('work'), 'PlugIn', family) as unknown as {
      evaluation: { cells: Record<string, { value: string }> }[];
    };
    expect(Object.keys(evaluation[0]!.cells), ended.stderr).toContain('plugIn');
  }
});

test('a model with modules in it is not released as one of its architecture', () => {
  expect(ended.code).toBe(1);
  expect(ended.stdout).toContain('2 Failed');
  expect(`${ended.stdout}${ended.stderr}`).toMatch(
    /PlugIn whole +Failed: BadSpec: .*exit code 10\): spec\.output\.save: must be adapter or none/,
  );
});

describe('LoRA beside the maps of an emulator without transfer layers', () => {
  const kept = () =>
    (savedStatus(at('work'), 'EmulatorBuild', 'qwen2') as unknown as { plan: { kept: number[] } }).plan.kept;

  test('changes the linear maps of every kept layer in the full model, and nothing else', () => {
    const [before, after] = [openModel(at('qwen2/model')), openModel(at('qwen2/out/model'))];
    const changed = [...before.tensors.keys()].filter(
      (name) => Buffer.compare(before.readBytes(name), after.readBytes(name)) !== 0,
    );
    const maps = kept().flatMap((layer) =>
      Object.values(before.architecture.block(layer)).filter(({ shape }) => shape.length === 2),
    );
    before.close();
    after.close();
    expect(kept()).toHaveLength(3);
    expect(changed.sort()).toEqual(maps.map(({ name }) => name).sort());
  });

  test('trains beside the factors that the bundle has, and PlugIn measures there what the data owner did', () => {
    const { evaluation } = savedStatus(at('work'), 'PlugIn', 'qwen2') as unknown as {
      evaluation: { cells: Record<string, { value: string }> }[];
    };
    const { training, validation } = savedStatus(at('work'), 'OffsiteTune', 'qwen2') as unknown as {
      training: { firstLoss: string; lastLoss: string };
      validation: { cells: Record<string, { value: string }> };
    };
    expect(evaluation[0]!.cells).toMatchObject(validation.cells);
    expect(Number(training.lastLoss)).toBeLessThan(Number(training.firstLoss));
    const bundle = openBundle(at('qwen2/out/emulator'));
    const names = [...bundle.model.tensors.keys()];
    bundle.close();
    expect(names.filter((name) => name.endsWith('q_proj.left.weight'))).toHaveLength(3);
    expect(names.filter((name) => name.endsWith('q_proj.weight'))).toEqual([]);
  });

  test('is analysed as others are, every kept layer rewound', () => {
    const analysis = readAnalysis(at('work/work/plugin/default/qwen2'))!;
    expect(analysis.transferLayers).toEqual(kept());
    expect(analysis.rewound?.map(({ layer }) => layer)).toEqual(kept());
    expect(analysis.interpolation).toHaveLength(2);
  });

  test('is verified against its bundle, and goes to PEFT', async () => {
    const verified = await offsite([
      'verify',
      at('qwen2/out/adapter'),
      '--emulator',
      at('qwen2/out/emulator'),
    ]);
    expect(verified.stdout, verified.stderr).toContain('42 tensors; belongs to');
    const exported = await offsite(['export', at('qwen2/out/adapter'), '--output', at('peft')]);
    expect(exported.code, exported.stderr).toBe(0);
    expect(JSON.parse(readFileSync(at('peft/adapter_config.json'), 'utf8'))).toMatchObject({
      layers_to_transform: kept(),
    });
  });

  test('is the only type', () => {
    expect(`${ended.stdout}${ended.stderr}`).toMatch(
      /OffsiteTune biases +Failed: BadSpec: .*spec\.adapter\.type: the emulator has no transfer layers, .*; write type: lora/,
    );
  });
});

test.each(saved)('%s: the saved model has the trained head, and its embedding is as it was', (family) => {
  const [before, after] = [openModel(at(family, 'model')), openModel(at(family, 'out', 'model'))];
  const head = runs[family]!.head!;
  expect(after.architecture.head['head']!.name).toBe(head);
  expect(after.config['tie_word_embeddings']).toBe(false);
  const { name } = before.architecture.embedding;
  expect(Buffer.compare(after.readBytes(name), before.readBytes(name))).toBe(0);
  const start = before.read(before.architecture.head['head']!.name);
  expect(after.read(head).every((value, i) => value === start[i])).toBe(false);
  before.close();
  after.close();
});

test('an adapter that is released is good, and is what was trained', async () => {
  const verified = await offsite(['verify', at('llama/out/model'), '--emulator', at('llama/out/emulator')]);
  expect(verified.stdout).toContain('17 tensors; belongs to');
  const [trained, released] = ['adapter', 'model'].map((name) =>
    readFileSync(at('llama', 'out', name, 'adapter.safetensors')),
  );
  expect(Buffer.compare(trained!, released!)).toBe(0);
});
