import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { sealArtifact } from '../../../src/artifact/index.ts';
import { encodeFloats, writeSafetensors } from '../../../src/checkpoint/index.ts';
import type { Model } from '../../../src/model/index.ts';
import { openAdapter } from '../../../src/plugin/index.ts';

const work = mkdtempSync(join(tmpdir(), 'offsite-adapter-'));
afterAll(() => rmSync(work, { recursive: true, force: true }));

const emulator = `sha256:${'1'.repeat(64)}`;
const transferLayers = [0, 2];
/** Every weight of the model is made of ones. */
const model = {
  architecture: {
    family: 'test',
    block: (layer: number) => ({
      query: { name: `h.${layer}.q_proj.weight`, shape: [2, 3] },
      bias: { name: `h.${layer}.q_proj.bias`, shape: [2] },
    }),
  },
  read: (name: string) => new Float32Array(name.endsWith('bias') ? 2 : 6).fill(1),
} as unknown as Model;

interface Given {
  type?: unknown;
  madeFrom?: Record<string, string>;
  tensors: Record<string, { shape: number[]; values?: number[]; dtype?: 'F32' | 'F16' }>;
}

let count = 0;
function adapterOf({ type, madeFrom = { emulator }, tensors }: Given): string {
  const directory = join(work, String(count++));
  mkdirSync(directory);
  const stored = Object.entries(tensors).map(([name, { shape, values, dtype = 'F32' }]) => {
    const size = shape.reduce((a, b) => a * b, 1);
    const bytes = encodeFloats(Float32Array.from(values ?? new Array<number>(size).fill(2)), dtype);
    return { name, shape, dtype, bytes: () => bytes };
  });
  writeSafetensors(join(directory, 'adapter.safetensors'), stored);
  sealArtifact(directory, {
    kind: 'Adapter',
    madeFrom,
    hyperparameters: { adapter: type ?? { type: 'layers' } },
  });
  return directory;
}

const open = (given: Given) => openAdapter(adapterOf(given), { model, emulator, transferLayers });
const each = (tensors: (layer: number) => Given['tensors']): Given['tensors'] =>
  Object.assign({}, ...transferLayers.map(tensors));

const whole = each((layer) => ({
  [`h.${layer}.q_proj.weight`]: { shape: [2, 3] },
  [`h.${layer}.q_proj.bias`]: { shape: [2] },
}));
const lora = { type: 'lora', rank: 1, alpha: 4 };
const path = (layer: number, factor: 'A' | 'B') => `base_model.model.h.${layer}.q_proj.lora_${factor}.weight`;
const factors = each((layer) => ({
  [path(layer, 'A')]: { shape: [1, 3], values: [1, 0, 2] },
  [path(layer, 'B')]: { shape: [2, 1], values: [1, 10] },
}));

describe('an adapter', () => {
  it('of layers gives the tensors that it holds, and no others', () => {
    const adapter = open({ tensors: whole });
    expect([...adapter.get('h.0.q_proj.weight')!]).toEqual([2, 2, 2, 2, 2, 2]);
    expect(adapter.get('h.1.q_proj.weight')).toBeUndefined();
    expect(adapter.names).toHaveLength(4);
    adapter.close();
  });

  it("of LoRA gives the model's weight with alpha / rank B A, in the memory that is offered", () => {
    const adapter = open({ type: lora, tensors: factors });
    const into = new Float32Array(6);
    expect(adapter.get('h.2.q_proj.weight', into)).toBe(into);
    expect([...into]).toEqual([5, 1, 9, 41, 1, 81]);
    expect(adapter.get('h.2.q_proj.bias')).toBeUndefined();
    expect(adapter.files['adapter_config.json']).toContain('"r": 1');
    adapter.close();
  });

  it('of biases holds those only', () => {
    const biases = each((layer) => ({ [`h.${layer}.q_proj.bias`]: { shape: [2] } }));
    const adapter = open({ type: { type: 'bitfit' }, tensors: biases });
    expect([...adapter.get('h.0.q_proj.bias')!]).toEqual([2, 2]);
    expect(adapter.get('h.0.q_proj.weight')).toBeUndefined();
    adapter.close();
    expect(() => open({ type: { type: 'bitfit' }, tensors: whole })).toThrow('q_proj.weight is foreign');
  });

  const without = (tensors: Given['tensors'], name: string) =>
    Object.fromEntries(Object.entries(tensors).filter(([other]) => other !== name));
  const changed = (name: string, value: Given['tensors'][string]) => ({ ...factors, [name]: value });

  it.each<[what: string, given: Given, message: string]>([
    [
      'of another emulator',
      { tensors: whole, madeFrom: { emulator: 'sha256:2' } },
      'was trained on emulator sha256:2',
    ],
    ['of no emulator', { tensors: whole, madeFrom: {} }, 'was trained on emulator (none named)'],
    ['of a type that is not known', { type: { type: 'magic' }, tensors: whole }, 'names no type of adapter'],
    [
      'whose rank is a lie',
      { type: { type: 'lora', rank: 'many' }, tensors: factors },
      'names no type of adapter',
    ],
    [
      'of modules that the model does not have',
      { type: { ...lora, targetModules: ['v_proj'] }, tensors: factors },
      'does not fit the model: spec.adapter.targetModules: v_proj',
    ],
    [
      'with a tensor of another layer',
      { type: lora, tensors: { ...factors, [path(1, 'A')]: { shape: [1, 3] } } },
      `tensor ${path(1, 'A')} is foreign`,
    ],
    ['that says LoRA and holds weights', { type: lora, tensors: whole }, 'h.0.q_proj.weight is foreign'],
    [
      'without a factor',
      { type: lora, tensors: without(factors, path(2, 'B')) },
      `lacks tensor ${path(2, 'B')} of the transfer layers`,
    ],
    [
      'with a factor of another rank',
      { type: lora, tensors: changed(path(0, 'A'), { shape: [2, 3] }) },
      `tensor ${path(0, 'A')} is [2,3], it must be [1,3]`,
    ],
    [
      'in float16',
      { type: lora, tensors: changed(path(0, 'A'), { shape: [1, 3], dtype: 'F16' }) },
      `tensor ${path(0, 'A')} is F16; an adapter's tensors are F32`,
    ],
    [
      'with NaN',
      { type: lora, tensors: changed(path(2, 'B'), { shape: [2, 1], values: [1, Number.NaN] }) },
      `tensor ${path(2, 'B')} holds NaN (element 1)`,
    ],
  ])('%s is refused', (_, given, message) => {
    expect(() => open(given)).toThrow(message);
  });

  it('whose factors are finite and whose product is not is refused when it is plugged in', () => {
    const huge = changed(path(0, 'B'), { shape: [2, 1], values: [3e38, 1] });
    const adapter = open({ type: lora, tensors: huge });
    expect(() => adapter.get('h.0.q_proj.weight')).toThrow('its change of h.0.q_proj.weight is not finite');
    adapter.close();
  });
});
