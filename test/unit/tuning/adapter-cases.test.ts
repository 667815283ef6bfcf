/** What every kind of adapter does, whatever it changes: a new one comes into the list, and brings no cases of its own for this. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Adapter, type OffsiteTuneSpec } from '../../../src/api/index.ts';
import { Random } from '../../../src/data/index.ts';
import type { Architecture, BlockShape, Slots } from '../../../src/model/index.ts';
import { type AdapterKind, adapterOf, type Change, insertedBy } from '../../../src/tuning/index.ts';

const kinds: Readonly<Record<string, OffsiteTuneSpec['adapter']>> = {
  layers: { type: 'layers' },
  'layers and head': { type: 'layers', head: true },
  bitfit: { type: 'bitfit' },
  bottleneck: { type: 'bottleneck', size: 3 },
  lora: { type: 'lora', rank: 2, alpha: 6 },
  'lora of one map, and head': { type: 'lora', rank: 1, targetModules: ['q_proj'], head: true },
  'lora with dropout': { type: 'lora', dropout: '0.5' },
};

const block = (layer: number): Slots => ({
  norm: { name: `h.${layer}.norm.weight`, shape: [4] },
  query: { name: `h.${layer}.q_proj.weight`, shape: [6, 4] },
  queryBias: { name: `h.${layer}.q_proj.bias`, shape: [6] },
  output: { name: `h.${layer}.o_proj.weight`, shape: [6, 4], transposed: true },
  up: { name: `h.${layer}.c_fc.weight`, shape: [4, 5], transposed: true },
  down: { name: `h.${layer}.c_proj.weight`, shape: [4, 5] },
});
const architecture = {
  family: 'test',
  hidden: 4,
  head: { head: { name: 'embedding.weight', shape: [9, 4], untied: 'lm_head.weight' } },
  block,
  widths: { heads: 3, groups: 3, inner: 5 },
  cuts: {
    query: { side: 'to', runs: [{ of: 'heads', size: 2 }] },
    output: { side: 'from', runs: [{ of: 'heads', size: 2 }] },
    up: { side: 'to', runs: [{ of: 'inner', size: 1 }] },
    down: { side: 'from', runs: [{ of: 'inner', size: 1 }] },
  },
} as unknown as Architecture;

const product = (shape: readonly number[]) => shape.reduce((x, y) => x * y, 1);

/** The changes of two layers and the head, each with the weight that the model has there; none where it is inserted. */
function changesOf(kind: AdapterKind): { change: Change; full: Float32Array; place: string }[] {
  const fullOf = (change: Change, slots: Slots, seed: number) => {
    const random = new Random(seed);
    const size = change.inserted ? 0 : product(slots[change.slot]!.shape);
    return Float32Array.from({ length: size }, () => random.next() / 2 ** 31 - 1);
  };
  const inLayers = [1, 3].flatMap((layer) =>
    kind.changes(architecture, layer).map((change) => ({
      ...{ change, place: `layer ${layer}` },
      full: fullOf(change, block(layer), layer),
    })),
  );
  const inHead = (kind.head?.(architecture) ?? []).map((change) => ({
    ...{ change, place: 'head' },
    full: fullOf(change, architecture.head, 9),
  }));
  return [...inLayers, ...inHead];
}

it('tries every kind that a spec may name', () => {
  const tried = new Set(Object.values(kinds).map(({ type }) => type));
  expect([...tried].sort()).toEqual([...Adapter.shape.type.unwrap().options].sort());
});

/** Two heads of three, and three channels of five. */
const narrower: BlockShape = {
  widths: { heads: 2, groups: 2, inner: 3 },
  kept: { heads: [0, 2], groups: [0, 2], inner: [1, 2, 4] },
};
const besideNarrower =
  (beside: NonNullable<AdapterKind['beside']>): AdapterKind['changes'] =>
  (of, layer) =>
    beside(of, layer, narrower);

const ways = Object.entries(kinds).flatMap(([name, spec]) => {
  const kind = adapterOf(spec);
  const { beside } = kind;
  return [
    { name, spec, kind },
    ...(beside ? [{ name: `${name}, beside the maps`, spec, kind: { ...kind, changes: beside } }] : []),
    ...(beside
      ? [{ name: `${name}, beside narrower maps`, spec, kind: { ...kind, changes: besideNarrower(beside) } }]
      : []),
  ];
});

describe.each(ways)('$name', ({ spec, kind }) => {
  const all = changesOf(kind);

  it('has changes, each of a weight that the model has or of one that it inserts, once', () => {
    expect(all.length).toBeGreaterThan(0);
    const weights = all.map(({ change, place }) => `${place} ${change.slot}`);
    expect(new Set(weights).size).toBe(weights.length);
    const tensors = all.flatMap(({ change }) => change.tensors.map(({ name }) => name));
    expect(new Set(tensors).size).toBe(tensors.length);
    const changes = kind.changes(architecture, 1);
    for (const { slot, inserted } of changes) expect(slot in block(1)).toBe(inserted === undefined);
    expect(Object.keys(insertedBy(changes))).toEqual(
      changes.filter(({ inserted }) => inserted).map(({ slot }) => slot),
    );
  });

  it('starts with tensors of its shapes, at what the model has there, and equal seeds start alike', () => {
    for (const { change, full } of all) {
      const values = change.start(full, new Random(5, 1));
      expect(values.map(({ length }) => length)).toEqual(change.tensors.map(({ shape }) => product(shape)));
      if (!change.inserted) expect([...change.weight(values, full)]).toEqual([...full]);
      expect(change.start(full, new Random(5, 1))).toEqual(values);
    }
  });

  it('makes a weight without changing what it is made of, in the room that it is given', () => {
    for (const { change, full } of all) {
      const values = change.start(full, new Random(5, 1)).map((one) => one.map((value) => value + 0.25));
      const before = [[...full], ...values.map((one) => [...one])];
      const made = [...change.weight(values, full)];
      const room = new Float32Array(made.length).fill(7);
      const again = change.weight(values, full, room);
      expect([...again]).toEqual(made);
      expect(again === room || values.some((one) => one === again)).toBe(true);
      expect([[...full], ...values.map((one) => [...one])]).toEqual(before);
      if (change.whole) expect(made).toEqual([...values[0]!]);
    }
  });

  it("has the gradients of its tensors out of the weight's", () => {
    fc.assert(
      fc.property(fc.nat(all.length - 1), fc.integer({ min: 1, max: 1e6 }), (which, seed) => {
        const { change, full } = all[which]!;
        const random = new Random(seed);
        const next = () => random.next() / 2 ** 31 - 1;
        const values = change.start(full, random).map((one) => one.map(next));
        const direction = values.map((one) => one.map(next));
        const upstream = change.weight(values, full).map(next);
        const loss = (step: number) => {
          const moved = values.map((one, i) => one.map((value, j) => value + step * direction[i]![j]!));
          return change.weight(moved, full).reduce((sum, value, i) => sum + value * upstream[i]!, 0);
        };
        const slope = loss(0.5) - loss(-0.5);
        const found = change
          .gradients(values, upstream)
          .reduce(
            (sum, one, i) => sum + one.reduce((part, value, j) => part + value * direction[i]![j]!, 0),
            0,
          );
        expect(Math.abs(found - slope)).toBeLessThan(1e-3 * Math.max(1, Math.abs(slope)));
      }),
      { numRuns: 60 },
    );
  });

  it('brings files that are JSON, of the layers that it is of', () => {
    for (const [name, text] of Object.entries(kind.files(architecture, [1, 3]))) {
      expect(name).toMatch(/^[a-z_]+\.json$/);
      expect(() => JSON.parse(text)).not.toThrow();
    }
  });

  it('has the same tensors, inserted, where it trains with dropout or beside the maps', () => {
    const { dropout, beside } = kind;
    expect(dropout !== undefined).toBe(Number(spec.dropout ?? 0) > 0);
    expect(beside !== undefined).toBe(spec.type === 'lora');
    const tensors = (changes: readonly Change[]) => changes.flatMap((change) => change.tensors);
    for (const changes of [dropout?.changes, beside]) {
      if (changes === undefined) continue;
      expect(tensors(changes(architecture, 1))).toEqual(tensors(kind.changes(architecture, 1)));
      expect(changes(architecture, 1).every(({ inserted }) => inserted)).toBe(true);
    }
  });

  it('starts equally whether it sits on weights or beside them', () => {
    const { beside } = adapterOf(spec);
    if (beside === undefined) return;
    const started = (changes: readonly Change[]) => {
      const random = new Random(5, 1);
      return changes.flatMap((change) => change.start(new Float32Array(), random));
    };
    expect(started(beside(architecture, 1))).toEqual(started(adapterOf(spec).changes(architecture, 1)));
  });
});

describe('LoRA beside the maps of a narrower block', () => {
  const { beside } = adapterOf({ type: 'lora', rank: 1, alpha: 2 });
  const of = (slot: string) =>
    besideNarrower(beside!)(architecture, 1).find((change) => change.slot === slot)!;
  const numbers = (count: number) => Float32Array.from({ length: count }, (_, i) => i + 1);

  it('runs the part of its tensors that meets what stays, and trains no other', () => {
    expect(insertedBy(besideNarrower(beside!)(architecture, 1))).toMatchObject({
      queryA: { shape: [1, 4] },
      queryB: { shape: [4, 1] },
      upB: { shape: [3, 1] },
      downA: { shape: [1, 3] },
    });
    const a = of('downA');
    expect(a.tensors[0]!.shape).toEqual([1, 5]);
    expect([...a.weight([numbers(5)], new Float32Array())]).toEqual([2, 3, 5]);
    expect([...a.gradients([numbers(5)], numbers(3))[0]!]).toEqual([0, 1, 2, 0, 3]);
    expect([a.leftOut!(numbers(5)), a.leftOut!(Float32Array.of(0, 1, 1, -2, 0))]).toEqual([0, 3]);
    expect(a.leftOut!(Float32Array.of(-0, 1, 0, 0, 3))).toBe(-1);
    expect([0, 1, 2, 3, 4].map((place) => a.isTaken!(place))).toEqual([false, true, true, false, true]);
    const b = of('queryB');
    expect([b.leftOut!(numbers(6)), b.leftOut!(Float32Array.of(1, 2, 0, 0, 5, 6))]).toEqual([2, -1]);
    expect([...b.weight([numbers(6)], new Float32Array())]).toEqual([2, 4, 10, 12]);
    expect([...b.gradients([numbers(6)], numbers(4))[0]!]).toEqual([2, 4, 0, 0, 6, 8]);
  });

  it('starts as in the whole map, with zeros where nothing meets it', () => {
    const [values] = of('downA').start(new Float32Array(), new Random(3));
    const [whole] = beside!(architecture, 1)
      .find(({ slot }) => slot === 'downA')!
      .start(new Float32Array(), new Random(3));
    expect([...values!]).toEqual([0, whole![1], whole![2], 0, whole![4]]);
  });

  it('is refused where the block does not say what stays', () => {
    expect(() => beside!(architecture, 1, { widths: { inner: 3 } })).toThrow(
      'emulator.json: does not say which inner of a layer are kept',
    );
    expect(beside!(architecture, 1, { widths: { inner: 5 } })).toHaveLength(8);
  });
});
