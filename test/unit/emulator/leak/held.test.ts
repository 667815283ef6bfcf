import { afterAll, beforeAll, expect, test } from 'vitest';
import { weigh } from '../../../../src/emulator/auto/weigh.ts';
import { narrowed } from '../../../../src/emulator/compression/narrow.ts';
import { narrowShape } from '../../../../src/emulator/compression/units.ts';
import { copiesOf } from '../../../../src/emulator/leak/copies.ts';
import { exactShare, tensorsThatRun } from '../../../../src/emulator/leak/exact-share.ts';
import { exactParts, exactTensors, heldIn, withCopies } from '../../../../src/emulator/leak/held.ts';
import { subspaceShare } from '../../../../src/emulator/leak/subspace.ts';
import { layoutOf, tensorSlots } from '../../../../src/emulator/plan/layout.ts';
import { Engine } from '../../../../src/engine/index.ts';
import { families } from '../../../../src/model/families/index.ts';
import type { Model } from '../../../../src/model/index.ts';
import { fixtureOf, uniform } from '../../../support/golden/families/fixture.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await Engine.create({ provider: 'cpu', threads: 1 });
});
afterAll(() => engine.dispose());

type Tensors = Pick<Model, 'architecture' | 'tensors' | 'read'>;
const sizeOf = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);
const energyOf = (values: ArrayLike<number>) =>
  Array.from(values, (value) => value ** 2).reduce((a, b) => a + b, 0);

/** A model of a fixture with two layers, and what a bundle holds whose second layer keeps its second group and odd channels. */
function bundleOf(variant: string, change: (values: Float32Array, name: string) => Float32Array) {
  const { config, tensors } = fixtureOf(variant);
  const [name] = config['architectures'] as [string];
  const architecture = families
    .find(({ architectures }) => architectures.includes(name))!
    .parse(config, (name) => tensors.some(([own]) => own === name));
  const model: Tensors = {
    architecture,
    tensors: new Map(tensors.map(([name, shape]) => [name, { name, dtype: 'F32', shape }])),
    read: (name) => Float32Array.from(uniform(name, sizeOf(model.tensors.get(name)!.shape))),
  };
  const odd = Array.from({ length: architecture.widths.inner / 2 }, (_, i) => 2 * i + 1);
  const units = { attention: [1], mlp: odd };
  const shape = narrowShape(architecture, 1, units)!;
  const layers = Array.from({ length: architecture.depth }, (_, layer) => layer);
  const plan = { clusters: layers.map((layer) => [layer]), kept: layers, transferLayers: [], source: layers };
  const layout = layoutOf(plan, new Map([[1, shape]]));
  const slots = architecture.block(1);
  const held = new Map(
    [...narrowed(model as Model, 1, units)].map(([slot, values]) => {
      const name = slots[slot]?.name ?? slot;
      return [name, change(values, name)];
    }),
  );
  const bundle: Tensors = {
    architecture,
    tensors: new Map(tensorSlots(architecture, layout).map((slot) => [slot.name, { ...slot, dtype: 'F32' }])),
    read: (name) => held.get(name) ?? model.read(name),
  };
  return { model, bundle, layout, held };
}

test.each(['llama', 'phi3', 'gpt2', 'bloom'])(
  'rows and columns that %s gives away count as held',
  async (variant) => {
    const { model, bundle, layout, held } = bundleOf(variant, (values) => values);
    const { architecture } = model;
    const made = { layout, clusters: [], copies: new Map() };
    const exact = exactTensors(model, bundle, made);
    const narrow = [...model.tensors.keys()].filter((name) => held.has(name));
    expect(narrow.length).toBeGreaterThan(3);
    for (const name of narrow) expect(exact.has(name)).toBe(false);
    const parts = exactParts(model, bundle, { ...made, exact });
    expect(new Map(parts)).toEqual(new Map(narrow.map((name) => [name, held.get(name)!.length])));
    const all = [...model.tensors.values()];
    const lacking = narrow.reduce(
      (sum, name) => sum + sizeOf(model.tensors.get(name)!.shape) - held.get(name)!.length,
      0,
    );
    const whole = all.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
    expect(exactShare(all, exact, parts).parameters).toBeCloseTo(1 - lacking / whole, 12);

    const { layers } = await subspaceShare(engine, { model, exact, heldOf: heldIn(bundle, made) });
    const matrices = Array.from({ length: architecture.depth }, (_, layer) =>
      Object.values(architecture.block(layer)),
    )
      .flat()
      .filter(({ shape }) => shape.length === 2);
    const [found, size] = matrices.reduce(
      ([sum, size], { name, shape }) => {
        const share = held.has(name) ? energyOf(held.get(name)!) / energyOf(model.read(name)) : 1;
        return [sum + share * sizeOf(shape), size + sizeOf(shape)];
      },
      [0, 0],
    );
    expect(layers).toBeCloseTo(found / size, 5);
  },
);

test('of what was fitted anew nothing is exact, and a line through it is held', async () => {
  const { model, bundle, layout } = bundleOf('llama', (values, name) =>
    name.endsWith('down_proj.weight') ? values.map((value) => 2 * value) : values,
  );
  const parts = exactParts(model, bundle, {
    ...{ layout, clusters: [], copies: new Map() },
    exact: exactTensors(model, bundle, { layout, clusters: [], copies: new Map() }),
  });
  const [down] = [...parts.keys()].filter((name) => name.endsWith('down_proj.weight'));
  // Zeros alone are what they were.
  expect(parts.get(down!)).toBe(bundle.read(down!).filter((value) => value === 0).length);
  const plain = bundleOf('llama', (values) => values);
  const share = async ({ model, bundle, layout }: typeof plain) =>
    subspaceShare(engine, {
      model,
      exact: exactTensors(model, bundle, { layout, clusters: [], copies: new Map() }),
      heldOf: heldIn(bundle, { layout, clusters: [], copies: new Map() }),
    });
  expect((await share({ ...plain, bundle })).layers).toBeCloseTo((await share(plain)).layers, 6);
});

test('what stands in a layer’s place counts: a removed layer under another name, and each number that is still the model’s', () => {
  const { model } = bundleOf('llama', (values) => values);
  const { architecture } = model;
  const plan = { clusters: [[0, 1]], kept: [0], transferLayers: [], source: [0, 0] };
  const layout = layoutOf(plan, new Map([[0, {}]]));
  const [first, second] = [architecture.block(0), architecture.block(1)];
  // Of a pair that was merged by differences the removed one stands there; one of its maps is in codes.
  const coded = first['down']!.name;
  const others = new Map(Object.entries(first).map(([slot, { name }]) => [name, second[slot]!.name]));
  const read = (name: string) => {
    if (name === coded) return model.read(name).map((value, i) => (i % 4 === 0 ? value : value + 1));
    return model.read(others.get(name) ?? name);
  };
  const tensors = tensorSlots(architecture, layout).map((slot) => [slot.name, { ...slot, dtype: 'F32' }]);
  const bundle = { architecture, tensors: new Map(tensors as never), read } as unknown as Tensors;
  const made = { layout, clusters: plan.clusters, copies: new Map() };
  const exact = exactTensors(model, bundle, made);
  for (const [slot, { name }] of Object.entries(second)) expect(exact.has(name)).toBe(slot !== 'down');
  const parts = exactParts(model, bundle, { ...made, exact });
  // Of the removed layer's map, which is in codes here, as many as of the kept one's.
  expect(parts.get(second['down']!.name)).toBe(0);
  expect(parts.get(coded)).toBe(Math.ceil(sizeOf(first['down']!.shape) / 4));
  // Norms of ones are alike in all layers.
  for (const [name, count] of parts)
    if (name !== coded) expect(count).toBeLessThan(sizeOf(model.tensors.get(name)!.shape));
});

test('tensors beside those that run are none of the model that shares are of', () => {
  const of = (...names: string[]) =>
    new Map(names.map((name) => [name, { name, dtype: 'F32', shape: [10] } as const]));
  const model = { tensors: of('a', 'b', 'stray', 'masks'), named: new Set(['a', 'b']) };
  expect(exactShare(tensorsThatRun(model), new Set(['a']))).toEqual({ tensors: 0.5, parameters: 0.5 });
});

test('a layer that another was merged into and that was refined: of the removed one its numbers and its direction count', async () => {
  const { model } = bundleOf('llama', (values) => values);
  const { architecture } = model;
  const plan = { clusters: [[0, 1]], kept: [0], transferLayers: [], source: [0, 0] };
  const layout = layoutOf(plan, new Map([[0, {}]]));
  const made = { layout, clusters: plan.clusters, copies: new Map() };
  const [first, second] = [architecture.block(0), architecture.block(1)];
  const origins = new Map(Object.entries(first).map(([slot, { name }]) => [name, second[slot]!.name]));
  // Two of three numbers were rounded back to what they were.
  const moved = (value: number, i: number) => (i % 3 === 0 ? value * 1.01 + 1e-3 : value);
  const tensors = tensorSlots(architecture, layout).map((slot) => [slot.name, { ...slot, dtype: 'F32' }]);
  const bundle = {
    architecture,
    tensors: new Map(tensors as never),
    read: (name: string) =>
      origins.has(name) ? model.read(origins.get(name)!).map(moved) : model.read(name),
  } as unknown as Tensors;
  const exact = exactTensors(model, bundle, made);
  expect([...exact].some((name) => [...origins].flat().includes(name))).toBe(false);
  const parts = exactParts(model, bundle, { ...made, exact });
  for (const { name, shape } of Object.values(second))
    expect(parts.get(name)).toBe(sizeOf(shape) - Math.ceil(sizeOf(shape) / 3));
  const { layers } = await subspaceShare(engine, { model, exact, heldOf: heldIn(bundle, made) });
  expect(layers).toBeGreaterThan(0.99 / architecture.depth);
  const without = await subspaceShare(engine, {
    ...{ model, exact },
    heldOf: heldIn(bundle, { layout, clusters: [[0], [1]], copies: new Map() }),
  });
  expect(without.layers).toBeLessThan(0.01);
});

/** A fixture's model whose layers from the second on are those before them again, the last numbers of each tensor trained on. */
function repeating(changed: number) {
  const { model } = bundleOf('llama', (values) => values);
  const { architecture } = model;
  const layers = Array.from({ length: architecture.depth }, (_, layer) => architecture.block(layer));
  const firsts = new Map(
    layers.flatMap((slots, layer) =>
      Object.entries(slots).map(([slot, { name }]) => [name, layers[layer % 2]![slot]!.name]),
    ),
  );
  const read = (name: string) => {
    const first = firsts.get(name) ?? name;
    const values = model.read(first);
    return first === name
      ? values
      : values.map((value, i) => (i < values.length - changed ? value : value + 0.1));
  };
  return { model: { ...model, read }, layers };
}

test('layers that are copies of one another, and those trained on since, are found by their matrices', () => {
  for (const changed of [0, 2]) {
    const { model } = repeating(changed);
    expect(copiesOf(model)).toEqual(
      new Map([
        [0, [2]],
        [1, [3]],
        [2, [0]],
        [3, [1]],
      ]),
    );
  }
  const { model } = bundleOf('llama', (values) => values);
  expect([...copiesOf(model).values()].flat()).toEqual([]);
});

test.each([0, 2])(
  'a layer that stays behind counts where its copy stands in the bundle, %i numbers of each tensor apart',
  async (changed) => {
    const { model, layers } = repeating(changed);
    const { architecture } = model;
    const plan = { clusters: [[0, 1, 2, 3]], kept: [0], transferLayers: [0], source: [0, 0, 0, 0] };
    const layout = layoutOf(plan);
    const tensors = tensorSlots(architecture, layout).map((slot) => [slot.name, { ...slot, dtype: 'F32' }]);
    const bundle = { ...model, tensors: new Map(tensors as never) } as Tensors;
    const made = { layout, clusters: plan.clusters, copies: copiesOf(model) };
    const exact = exactTensors(model, bundle, made);
    const parts = exactParts(model, bundle, { ...made, exact });
    for (const { name, shape } of Object.values(layers[2]!)) {
      expect(exact.has(name), name).toBe(changed === 0);
      expect(parts.get(name), name).toBe(changed === 0 ? undefined : sizeOf(shape) - changed);
    }
    for (const layer of [1, 3])
      for (const { name } of Object.values(layers[layer]!)) {
        expect(exact.has(name), name).toBe(false);
        expect(parts.get(name), name).toBe(undefined);
      }
    const share = await subspaceShare(engine, { model, exact, heldOf: heldIn(bundle, made) });
    expect(share.layers).toBeCloseTo(2 / 4, changed === 0 ? 12 : 2);
  },
);

test.each([0, 2])(
  'what a bundle will hold is known before it is made, copies with it: %i numbers apart',
  (changed) => {
    const { model, layers } = repeating(changed);
    const { architecture } = model;
    const layout = layoutOf({
      clusters: [[0, 1, 2, 3]],
      kept: [0],
      transferLayers: [0],
      source: [0, 0, 0, 0],
    });
    const taken = new Set(tensorSlots(architecture, layout).map(({ name }) => name));
    const copied = Object.values(layers[2]!).map(({ name }) => name);
    const made = { layout, clusters: [], copies: copiesOf(model) };
    expect(withCopies(model, taken, made)).toEqual(new Set([...taken, ...(changed === 0 ? copied : [])]));
    const whole = {
      ...model,
      tensors: model.tensors,
      named: new Set(model.tensors.keys()),
    } as unknown as Model;
    const { exactParameterShare } = weigh(whole, layout, made.copies);
    expect(exactParameterShare).toBe(
      exactShare(model.tensors.values(), withCopies(model, taken, made)).parameters,
    );
    const alone = weigh(whole, layout, new Map()).exactParameterShare;
    expect(exactParameterShare > alone).toBe(changed === 0);
  },
);

test('the copy of a layer that is held narrower counts as that one does', async () => {
  const { model: plain, bundle, layout } = bundleOf('llama', (values) => values);
  const { architecture } = plain;
  const [first, second] = [architecture.block(0), architecture.block(1)];
  const copied = new Map(Object.entries(first).map(([slot, { name }]) => [name, second[slot]!.name]));
  const model = { ...plain, read: (name: string) => plain.read(copied.get(name) ?? name) };
  const narrow = { ...layout, blocks: { 1: layout.blocks['1']! } };
  const made = { layout: narrow, clusters: [], copies: copiesOf(model) };
  const exact = exactTensors(model, bundle, made);
  const parts = exactParts(model, bundle, { ...made, exact });
  for (const [own, copy] of copied) expect(parts.get(own), own).toBe(parts.get(copy));
  expect(parts.get(first['down']!.name)).toBe(bundle.read(second['down']!.name).length);
  const { layers } = await subspaceShare(engine, { model, exact, heldOf: heldIn(bundle, made) });
  const without = { ...made, copies: new Map() };
  const alone = await subspaceShare(engine, { model, exact, heldOf: heldIn(bundle, without) });
  expect(layers).toBeCloseTo(2 * alone.layers, 6);
});
