import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { sealArtifact } from '../../../src/artifact/index.ts';
import { encodeFloats, writeSafetensors } from '../../../src/checkpoint/index.ts';
import { layoutOf } from '../../../src/emulator/plan/layout.ts';
import type { Model, Slots } from '../../../src/model/index.ts';
import { type Expected, openAdapter } from '../../../src/plugin/adapter.ts';

const work = mkdtempSync(join(tmpdir(), 'offsite-adapter-'));
afterAll(() => rmSync(work, { recursive: true, force: true }));

const emulator = `sha256:${'1'.repeat(64)}`;
const transferLayers = [0, 2];
const bundleOf = (kept: number[], transferLayers: number[]): Expected['bundle'] => {
  const plan = { clusters: [kept], kept, transferLayers, source: kept };
  return { plan, layout: layoutOf(plan) };
};
const bundle = bundleOf([0, 1, 2], transferLayers);
const sizes: Readonly<Record<string, number>> = { bias: 2, 'down_proj.weight': 8, 'embedding.weight': 10 };
/** Every weight of the model is made of ones. */
const model = {
  tensors: new Map(),
  architecture: {
    family: 'test',
    hidden: 2,
    head: { head: { name: 'embedding.weight', shape: [5, 2], untied: 'lm_head.weight' } },
    block: (layer: number) => ({
      query: { name: `h.${layer}.q_proj.weight`, shape: [2, 3] },
      bias: { name: `h.${layer}.q_proj.bias`, shape: [2] },
      output: { name: `h.${layer}.o_proj.weight`, shape: [2, 3] },
      down: { name: `h.${layer}.down_proj.weight`, shape: [2, 4] },
    }),
  },
  read: (name: string) => {
    const [, size = 6] = Object.entries(sizes).find(([end]) => name.endsWith(end)) ?? [];
    return new Float32Array(size).fill(1);
  },
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

const open = (given: Given) => openAdapter(adapterOf(given), { model, emulator, bundle });
const each = (tensors: (layer: number) => Given['tensors']): Given['tensors'] =>
  Object.assign({}, ...transferLayers.map(tensors));

const whole = each((layer) => ({
  [`h.${layer}.q_proj.weight`]: { shape: [2, 3] },
  [`h.${layer}.q_proj.bias`]: { shape: [2] },
  [`h.${layer}.o_proj.weight`]: { shape: [2, 3] },
  [`h.${layer}.down_proj.weight`]: { shape: [2, 4] },
}));
const lora = { type: 'lora', rank: 1, alpha: 4, targetModules: ['q_proj'] };
const bottleneck = { type: 'bottleneck', size: 3 };
const modules = each((layer) =>
  Object.fromEntries(
    ['o_proj', 'down_proj'].flatMap((map) =>
      Object.entries({ 'fc1.weight': [3, 2], 'fc1.bias': [3], 'fc2.weight': [2, 3], 'fc2.bias': [2] }).map(
        ([name, shape]) => [`h.${layer}.${map}.adapter.${name}`, { shape }],
      ),
    ),
  ),
);
const fc2 = 'h.2.o_proj.adapter.fc2.weight';
const head = { 'lm_head.weight': { shape: [5, 2] } };
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
    expect(adapter.names).toHaveLength(8);
    expect(adapter.inserted(0)).toEqual({});
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

  describe('of an emulator without transfer layers', () => {
    const none = bundleOf([0, 2], []);
    const openBeside = (given: Given, slots?: Expected['slots']) =>
      openAdapter(adapterOf(given), { model, emulator, bundle: none, slots });

    it("is of LoRA: in the model's own weights, and beside whatever the bundle has", () => {
      const adapter = openBeside({ type: lora, tensors: factors });
      expect([...adapter.get('h.2.q_proj.weight')!]).toEqual([5, 1, 9, 41, 1, 81]);
      expect(adapter.inserted(2)).toEqual({});
      expect(adapter.changed).toEqual(['h.0.q_proj.weight', 'h.2.q_proj.weight']);
      expect(JSON.parse(adapter.files['adapter_config.json']!)).toMatchObject({
        layers_to_transform: [0, 2],
      });
      const read = () => {
        throw new Error('no weight of the bundle is needed');
      };
      const inside = adapter.on({ read });
      expect(inside.inserted(2)).toEqual({
        queryA: { name: path(2, 'A'), shape: [1, 3] },
        queryB: { name: path(2, 'B'), shape: [2, 1] },
      });
      expect(inside.inserted(1)).toEqual({});
      expect(inside.has('h.2.q_proj.weight')).toBe(false);
      expect([...inside.get(path(2, 'A'))!]).toEqual([1, 0, 2]);
      expect([...inside.get(path(2, 'B'), new Float32Array(2))!]).toEqual([4, 40]);
      adapter.close();
    });

    it('is measured by what the bundle has of a layer, and alone where a map has other parts', () => {
      const slots = (layer: number): Slots => ({
        queryLeft: { name: `h.${layer}.q_proj.left.weight`, shape: [2, 1] },
        output: { name: `h.${layer}.o_proj.weight`, shape: [2, 3] },
      });
      const sized = (value: number) =>
        each((layer) => ({
          [path(layer, 'A')]: { shape: [1, 3], values: [1, 1, 1] },
          [path(layer, 'B')]: { shape: [2, 1], values: [value, value] },
        }));
      openBeside({ type: lora, tensors: sized(24.9) }, slots).close();
      expect(() => openBeside({ type: lora, tensors: sized(25.1) }, slots)).toThrow(
        'its change of h.0.q_proj.weight is 100 times as large as the weights of its layer',
      );
    });

    it('in a bundle of narrower blocks is refused where these do not say what stays, or it changes what does not', () => {
      const { plan } = none;
      const narrow = { widths: { inner: 1 } };
      const cuts = { query: { side: 'to', runs: [{ of: 'inner', size: 1 }] } };
      const architecture = { ...model.architecture, widths: { heads: 1, groups: 1, inner: 2 }, cuts };
      const trained = { ...factors, [path(2, 'B')]: { shape: [2, 1], values: [0, 10] } };
      const openNarrow = (kept: object, tensors = trained) =>
        openAdapter(adapterOf({ type: lora, tensors }), {
          model: { ...model, architecture } as unknown as Model,
          emulator,
          bundle: { plan, layout: layoutOf(plan, new Map([[2, { ...narrow, ...kept }]])) },
        });
      expect(() => openNarrow({})).toThrow(/^emulator\.json: does not say which inner/);
      expect(() => openNarrow({ kept: { inner: [1] } }, factors)).toThrow(
        `tensor ${path(2, 'B')} changes heads or channels that the emulator's layer 2 lacks (element 0 is not zero)`,
      );
      const adapter = openNarrow({ kept: { inner: [1] } });
      const inside = adapter.on(model);
      expect(inside.inserted(2)).toMatchObject({ queryB: { shape: [1, 1] } });
      expect([...inside.get(path(2, 'B'), new Float32Array(1))!]).toEqual([40]);
      adapter.close();
    });

    it('is of no other type, and of the kept layers', () => {
      for (const [type, tensors] of [
        [{ type: 'layers' }, whole],
        [bottleneck, modules],
        [{ type: 'bitfit' }, whole],
      ] as const)
        expect(() => openBeside({ type, tensors })).toThrow(
          `is an adapter of type ${type.type}; of an emulator without transfer layers only one of type lora may come back`,
        );
      const foreign = path(1, 'A');
      expect(() => openBeside({ type: lora, tensors: { ...factors, [foreign]: { shape: [1, 3] } } })).toThrow(
        `tensor ${foreign} is foreign: only tensors of the kept layers 0, 2 may come back`,
      );
    });
  });

  it('of biases holds those only', () => {
    const biases = each((layer) => ({ [`h.${layer}.q_proj.bias`]: { shape: [2] } }));
    const adapter = open({ type: { type: 'bitfit' }, tensors: biases });
    expect([...adapter.get('h.0.q_proj.bias')!]).toEqual([2, 2]);
    expect(adapter.get('h.0.q_proj.weight')).toBeUndefined();
    adapter.close();
    expect(() => open({ type: { type: 'bitfit' }, tensors: whole })).toThrow('q_proj.weight is foreign');
  });

  it('of bottlenecks inserts them into the transfer layers', () => {
    const adapter = open({ type: bottleneck, tensors: modules });
    expect(adapter.inserted(2)).toMatchObject({ outputUp: { name: fc2, shape: [2, 3] } });
    expect(Object.keys(adapter.inserted(2))).toHaveLength(8);
    expect(adapter.inserted(1)).toEqual({});
    expect([...adapter.get(fc2)!]).toEqual([2, 2, 2, 2, 2, 2]);
    expect(adapter.scaled.has(fc2)).toBe(true);
    expect(adapter.scaled.has('h.2.o_proj.adapter.fc1.bias')).toBe(false);
    adapter.close();
  });

  it('with a head gives it by the name of its own, whatever the file calls it', () => {
    const own = open({ type: { ...bottleneck, head: true }, tensors: { ...modules, ...head } });
    expect([own.has('lm_head.weight'), own.has('embedding.weight')]).toEqual([true, false]);
    expect(own.get('lm_head.weight')).toHaveLength(10);
    own.close();
    const tensors = { ...factors, 'base_model.model.lm_head.weight': { shape: [5, 2] } };
    const peft = open({ type: { ...lora, head: true, dropout: '0.5' }, tensors });
    expect(peft.get('lm_head.weight')).toHaveLength(10);
    expect(JSON.parse(peft.files['adapter_config.json']!)).toMatchObject({
      lora_dropout: 0.5,
      modules_to_save: ['lm_head'],
    });
    peft.close();
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
      `lacks tensor ${path(2, 'B')}, which its type of adapter has`,
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
    [
      'with a head that it does not say it trained',
      { type: bottleneck, tensors: { ...modules, ...head } },
      'tensor lm_head.weight is foreign',
    ],
    [
      'without the head that it says it trained',
      { type: { ...bottleneck, head: true }, tensors: modules },
      'lacks tensor lm_head.weight, which its type of adapter has',
    ],
    [
      'with a head of another vocabulary',
      {
        type: { ...bottleneck, head: true },
        tensors: { ...modules, 'lm_head.weight': { shape: [6, 2] } },
      },
      'tensor lm_head.weight is [6,2], it must be [5,2]',
    ],
    [
      'with the embedding in the place of a head',
      {
        type: { ...bottleneck, head: true },
        tensors: { ...modules, 'embedding.weight': { shape: [5, 2] } },
      },
      'tensor embedding.weight is foreign',
    ],
    [
      'with a module of another layer',
      {
        type: bottleneck,
        tensors: { ...modules, 'h.1.o_proj.adapter.fc1.bias': { shape: [3] } },
      },
      'tensor h.1.o_proj.adapter.fc1.bias is foreign',
    ],
    [
      'with a module of another size',
      { type: { ...bottleneck, size: 4 }, tensors: modules },
      'tensor h.0.o_proj.adapter.fc1.weight is [3,2], it must be [4,2]',
    ],
    [
      'with a module in float16',
      { type: bottleneck, tensors: { ...modules, [fc2]: { shape: [2, 3], dtype: 'F16' } } },
      `tensor ${fc2} is F16; an adapter's tensors are F32`,
    ],
    [
      'with infinity in a module',
      {
        type: bottleneck,
        tensors: { ...modules, [fc2]: { shape: [2, 3], values: [0, 0, 0, 0, Infinity, 0] } },
      },
      `tensor ${fc2} holds Infinity (element 4)`,
    ],
    [
      'whose dropout is a lie',
      { type: { ...lora, dropout: '2' }, tensors: factors },
      'names no type of adapter',
    ],
  ])('%s is refused', (_, given, message) => {
    expect(() => open(given)).toThrow(message);
  });

  const query = 'h.0.q_proj.weight';
  const put = (tensors: Given['tensors'], name: string, value: number) => {
    const size = tensors[name]!.shape.reduce((a, b) => a * b, 1);
    const values = new Array<number>(size).fill(1).with(0, value);
    return { ...tensors, [name]: { ...tensors[name]!, values } };
  };

  it.each<[what: string, given: Given, message: RegExp]>([
    [
      '3e38',
      { tensors: put(whole, query, 3e38) },
      /its change of h\.0\.q_proj\.weight is 1\.22e\+38 times as large as the weights/,
    ],
    [
      '-3e38',
      { tensors: put(whole, query, -3e38) },
      /its change of h\.0\.q_proj\.weight is .* times as large/,
    ],
    [
      'a bias of a thousand',
      { tensors: put(whole, 'h.2.q_proj.bias', 1000) },
      /its change of h\.2\.q_proj\.bias is 706 times/,
    ],
    [
      'factors whose product is no number',
      { type: lora, tensors: changed(path(0, 'B'), { shape: [2, 1], values: [3e38, 1] }) },
      /its change of h\.0\.q_proj\.weight is not finite/,
    ],
    [
      'factors whose product is absurd',
      { type: lora, tensors: changed(path(0, 'B'), { shape: [2, 1], values: [1e20, 1] }) },
      /its change of h\.0\.q_proj\.weight is 3\.65e\+20 times as large as the weights of its layer \(root mean squares\); at most 100 times/,
    ],
    [
      'an absurd module',
      { type: bottleneck, tensors: put(modules, fc2, 1e9) },
      /its change of h\.2\.o_proj\.adapter\.fc2\.weight is 4\.08e\+8 times/,
    ],
    [
      'an absurd head',
      { type: { ...bottleneck, head: true }, tensors: { ...modules, ...put(head, 'lm_head.weight', 1e5) } },
      /its change of lm_head\.weight is 3\.16e\+4 times/,
    ],
  ])('with %s is refused though it is finite', (_, given, message) => {
    expect(() => open(given)).toThrow(message);
  });

  it('may change a weight by a hundred times the size of its layer', () => {
    open({ tensors: put(whole, query, 1 + 100 * Math.sqrt(6) * 0.999) }).close();
    expect(() => open({ tensors: put(whole, query, 1 + 100 * Math.sqrt(6) * 1.001) })).toThrow(
      'is 100 times',
    );
  });

  it('of a model in float16 may hold no number beyond it', () => {
    const half = { ...model, read: (name: string) => model.read(name).fill(1000) } as unknown as Model;
    const tensors = new Map([[query, { name: query, dtype: 'F16', shape: [2, 3] }]]);
    const openHalf = (value: number) =>
      openAdapter(adapterOf({ tensors: put(whole, query, value) }), {
        model: { ...half, tensors } as Model,
        emulator,
        bundle,
      });
    openHalf(65504).close();
    expect(() => openHalf(65520)).toThrow(
      `its change of ${query} holds a value that is too large for the model's F16`,
    );
  });

  it('is measured by its layer where a weight is made of noughts, and taken as it is where all are', () => {
    const zeros = (of: (name: string) => boolean) => ({
      ...model,
      read: (name: string) => (of(name) ? model.read(name).fill(0) : model.read(name)),
    });
    const openOn = (other: typeof model, value: number) =>
      openAdapter(adapterOf({ tensors: put(whole, 'h.0.q_proj.bias', value) }), {
        model: other,
        emulator,
        bundle,
      });
    const noBias = zeros((name) => name.endsWith('bias'));
    openOn(noBias as typeof model, 90).close();
    expect(() => openOn(noBias as typeof model, 1000)).toThrow('h.0.q_proj.bias is');
    openOn(zeros(() => true) as typeof model, 90).close();
  });
});
