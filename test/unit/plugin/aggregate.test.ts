import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { Aggregation, OffsiteTuneSpec, PartyVerdict } from '../../../src/api/index.ts';
import { sealArtifact } from '../../../src/artifact/index.ts';
import { encodeFloats, openCheckpoint, writeSafetensors } from '../../../src/checkpoint/index.ts';
import { Random } from '../../../src/data/index.ts';
import { layoutOf } from '../../../src/emulator/plan/layout.ts';
import type { Model } from '../../../src/model/index.ts';
import { openAdapter } from '../../../src/plugin/adapter.ts';
import {
  type AggregateOptions,
  aggregateAdapters,
  checkParties,
  inStatus,
  type Party,
} from '../../../src/plugin/aggregate.ts';
import { adapterOf, linearModules } from '../../../src/tuning/index.ts';

const work = mkdtempSync(join(tmpdir(), 'offsite-aggregate-'));
afterAll(() => rmSync(work, { recursive: true, force: true }));

const emulator = `sha256:${'1'.repeat(64)}`;
const random = new Random(3);
const numbers = (count: number) => Float32Array.from({ length: count }, () => random.next() / 2 ** 31 - 1);
const sizeOf = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);

const slots = (layer: number) => ({
  query: { name: `h.${layer}.q_proj.weight`, shape: [4, 6] },
  value: { name: `h.${layer}.v_proj.weight`, shape: [6, 3], transposed: true },
  bias: { name: `h.${layer}.q_proj.bias`, shape: [4] },
  output: { name: `h.${layer}.o_proj.weight`, shape: [6, 4] },
  down: { name: `h.${layer}.down_proj.weight`, shape: [6, 5] },
});
const embedding = { name: 'embedding.weight', shape: [5, 6] };
const weights = new Map(
  [...[0, 1, 2].flatMap((layer) => Object.values(slots(layer))), embedding].map(({ name, shape }) => [
    name,
    { shape, values: numbers(sizeOf(shape)) },
  ]),
);
const architecture = {
  family: 'test',
  hidden: 6,
  head: { head: { ...embedding, untied: 'lm_head.weight' } },
  block: slots,
};
const model = {
  tensors: new Map([...weights].map(([name, { shape }]) => [name, { name, shape, dtype: 'F32' }])),
  architecture,
  read(name: string, { rows }: { rows?: [number, number] } = {}) {
    const { shape, values } = weights.get(name)!;
    const width = sizeOf(shape.slice(1));
    return rows ? values.slice(rows[0] * width, rows[1] * width) : values.slice();
  },
} as unknown as Model;
const bundleOf = (transferLayers: number[]) => {
  const plan = { clusters: [[0, 1, 2]], kept: [0, 1, 2], transferLayers, source: [0, 1, 2] };
  return { plan, layout: layoutOf(plan) };
};
const modules = linearModules(model.architecture, [0, 2]);
const sides = { model, bundle: bundleOf([0, 2]) };

let count = 0;
/**
 * A party whose tensors are what its type has, the model's own or small, a little moved.
 * @param moves how much each weight of the full model is moved
 */
function partyOf(
  type: OffsiteTuneSpec['adapter'],
  transferLayers = [0, 2],
  weight = '1',
  moves: (name: string) => number = () => 1 / 4,
): Party {
  const kind = adapterOf(type);
  const trained = transferLayers.length > 0 ? transferLayers : [0, 1, 2];
  const changes = [
    ...trained.flatMap((layer) => kind.changes(model.architecture, layer)),
    ...(kind.head?.(model.architecture) ?? []),
  ];
  const directory = join(work, String(count++));
  mkdirSync(directory);
  writeSafetensors(
    join(directory, 'adapter.safetensors'),
    changes.flatMap(({ tensors, name, whole, inserted }) =>
      tensors.map((tensor) => {
        const own = weights.get(name === 'lm_head.weight' ? embedding.name : name);
        const moved = numbers(sizeOf(tensor.shape)).map((value) => moves(name) * value);
        const values = whole && !inserted ? moved.map((value, i) => value + own!.values[i]!) : moved;
        return { ...tensor, dtype: 'F32' as const, bytes: () => encodeFloats(values, 'F32') };
      }),
    ),
  );
  sealArtifact(directory, { kind: 'Adapter', madeFrom: { emulator }, hyperparameters: { adapter: type } });
  const adapter = openAdapter(directory, { model, emulator, bundle: bundleOf(transferLayers) });
  return { adapter, directory, weight };
}

function aggregate(
  parties: readonly Party[],
  aggregation: Aggregation,
  more: Partial<AggregateOptions> = {},
) {
  return aggregateAdapters(parties, {
    ...{ model, bundle: bundleOf([0, 2]), aggregation, asAdapter: false },
    ...{ directory: join(work, `made-${count++}`), beforeEach() {} },
    ...more,
  });
}

const lora: OffsiteTuneSpec['adapter'] = { type: 'lora', rank: 2, alpha: 4 };
const types: OffsiteTuneSpec['adapter'][] = [
  { type: 'layers', head: true },
  { type: 'bitfit' },
  { type: 'bottleneck', size: 2 },
  { ...lora, head: true },
  { ...lora, targetModules: ['v_proj'] },
];
const farthest = (a: Float32Array, b: (i: number) => number) =>
  a.reduce((most, value, i) => Math.max(most, Math.abs(value - b(i))), 0);

describe('one adapter of three', () => {
  it.each(types)('of %o: its weights are the mean of theirs, however it is written', (type) => {
    const parties = [partyOf(type), partyOf(type), partyOf(type, [0, 2], '2')];
    const { adapter, close } = aggregate(parties, { method: 'mean' });
    expect([...adapter.changed]).toEqual([...parties[0]!.adapter.changed]);
    const names = parties[0]!.adapter.changes.map(({ change }) => change.name);
    for (const name of names) {
      const [a, b, c] = parties.map((party) => party.adapter.get(name)!) as [
        Float32Array,
        Float32Array,
        Float32Array,
      ];
      expect(farthest(adapter.get(name)!, (i) => (a[i]! + b[i]! + 2 * c[i]!) / 4)).toBeLessThan(1e-6);
    }
    expect(adapter.inserted!(0)).toEqual(parties[0]!.adapter.inserted(0));
    close();
  });

  it.each(types)(
    'of %o: Krum’s choice of three is that adapter, to the last bit of whole weights',
    (type) => {
      const parties = [partyOf(type), partyOf(type), partyOf(type)];
      const { adapter, parties: found, close } = aggregate(parties, { method: 'krum', attackers: 0 });
      const chosen = parties[found.findIndex(({ taken }) => taken > 0)]!;
      expect(found.filter(({ taken }) => taken > 0)).toHaveLength(1);
      for (const { change } of chosen.adapter.changes) {
        const [mine, its] = [adapter.get(change.name)!, chosen.adapter.get(change.name)!];
        if (change.whole) expect([...mine]).toEqual([...its]);
        else expect(farthest(mine, (i) => its[i]!)).toBeLessThan(3e-7);
      }
      close();
    },
  );

  it('of LoRA as an adapter: factors of its rank, the nearest there are, and what they keep is said', () => {
    const parties = [partyOf(lora), partyOf(lora), partyOf(lora)];
    const whole = aggregate(parties, { method: 'mean' });
    const { adapter, aggregate: found, close } = aggregate(parties, { method: 'mean' }, { asAdapter: true });
    expect(whole.aggregate.rank).toBeUndefined();
    expect(found.rank).toBe(2);
    expect(adapter.names).toEqual(parties[0]!.adapter.names);
    expect(adapter.files).toEqual(parties[0]!.adapter.files);
    let [kept, all] = [0, 0];
    for (const name of adapter.changed) {
      const base = model.read(name);
      const [mine, its] = [adapter.get(name)!, whole.adapter.get(name)!];
      for (let i = 0; i < base.length; i++) {
        kept += (mine[i]! - base[i]!) ** 2;
        all += (its[i]! - base[i]!) ** 2;
      }
    }
    expect(Number(found.keptEnergy)).toBeGreaterThan(0.4);
    expect(Number(found.keptEnergy)).toBeLessThan(1);
    expect(kept / all).toBeCloseTo(Number(found.keptEnergy), 4);
    close();
    whole.close();
  });

  it('of LoRA beside a bundle without transfer layers: factors too, of every kept layer', () => {
    const parties = [partyOf(lora, []), partyOf(lora, [])];
    const options = { bundle: bundleOf([]) };
    const { adapter, aggregate: found, close } = aggregate(parties, { method: 'linear' }, options);
    expect(found.rank).toBe(2);
    expect(adapter.changes.map(({ layer }) => layer)).toContain(1);
    expect(adapter.on(model).inserted(1)).toHaveProperty('queryA');
    close();
  });

  it('is cleared away, and stopped where it is told to', () => {
    const parties = [partyOf(lora), partyOf(lora)];
    const directory = join(work, 'cleared');
    const { close } = aggregate(parties, { method: 'mean' }, { directory });
    expect(existsSync(directory)).toBe(true);
    close();
    expect(existsSync(directory)).toBe(false);
    const beforeEach = () => {
      throw new Error('stopped');
    };
    expect(() => aggregate(parties, { method: 'mean' }, { beforeEach })).toThrow('stopped');
  });

  it('that is no change that could be plugged in is refused', () => {
    for (const large of [0, 1, 2]) {
      const parties = [0, 1, 2].map((i) =>
        partyOf({ type: 'layers' }, [0, 2], i === large ? '1000000' : '1'),
      );
      expect(() => aggregate(parties, { method: 'linear' })).toThrow(
        /spec\.aggregation: what came of the adapters: its change of .* times as large .*: let them count less/,
      );
      const named = `first of all ${parties[large]!.directory}, whose change of this weight is the largest by norm and weight: its norm is `;
      expect(() => aggregate(parties, { method: 'linear' })).toThrow(named);
    }
  });

  it('is laid to who changes the weight most at which it shows, however little else that one changes', () => {
    const at = slots(2).bias.name;
    const party = (there: number, elsewhere: number) =>
      partyOf({ type: 'layers' }, [0, 2], '1', (name) => (name === at ? there : elsewhere));
    const [first, hostile, last] = [party(1 / 4, 10), party(50, 0), party(1 / 4, 10)];
    const { parties, close } = aggregate([first, hostile, last], { method: 'linear' });
    const norms = parties.map(({ norm }) => Number(norm));
    expect(norms[1]).toBeLessThan(Math.min(norms[0]!, norms[2]!));
    close();
    const more = [first, hostile, last].map((party) => ({ ...party, weight: '4' }));
    expect(() => aggregate(more, { method: 'linear' })).toThrow(
      new RegExp(
        `its change of ${at} is .* first of all ${hostile.directory}, whose change of this weight is the largest by norm and weight: its norm is ${norms[1]}, its weight 4$`,
      ),
    );
  });
});

describe('parties', () => {
  it('whatever a manifest claims of rows, who sent it counts as much as before', () => {
    const parties = [partyOf(lora), partyOf(lora), partyOf(lora)] as [Party, Party, Party];
    const [{ directory, adapter: honest }, ...others] = parties;
    const made = (first: Party) => {
      const { adapter, close } = aggregate([first, ...others], { method: 'mean' });
      const values = adapter.changes.map(({ change }) => [...adapter.get(change.name)!]);
      close();
      return values;
    };
    const before = made(parties[0]);
    const claims = { rows: 1e9, samples: 1e9, weight: '1000' };
    sealArtifact(directory, {
      ...{ kind: 'Adapter', madeFrom: { emulator } },
      hyperparameters: { adapter: lora, training: { batchSize: 1e9, steps: 1e9 }, ...claims },
      scores: { ...claims },
    });
    const adapter = openAdapter(directory, { model, emulator, bundle: bundleOf([0, 2]) });
    expect(adapter.digest).not.toBe(honest.digest);
    expect(made({ adapter, directory, weight: '1' })).toEqual(before);
    expect(made({ adapter, directory, weight: '2' })).not.toEqual(before);
  });

  it('of two types are refused, LoRA of another rank too; another dropout is none', () => {
    const check =
      (...types: OffsiteTuneSpec['adapter'][]) =>
      () =>
        checkParties(
          types.map((type) => partyOf(type)),
          sides,
        );
    expect(check(lora, { type: 'layers' })).toThrow(/all must be of one type/);
    expect(check(lora, { ...lora, rank: 3 })).toThrow(/all must be of one type/);
    expect(check(lora, { ...lora, targetModules: ['q_proj'] })).toThrow(/all must be of one type/);
    expect(check(lora, { ...lora, dropout: '0.1' })).not.toThrow();
  });

  it('are of one type whether a default is written out or not, and in whatever order their modules stand', () => {
    const some = ['v_proj', 'q_proj'] as const;
    const alike: OffsiteTuneSpec['adapter'][][] = [
      [{ type: 'lora' }, { type: 'lora', rank: 4, alpha: 32, head: false, dropout: '0' }],
      [lora, { ...lora, targetModules: [...modules].reverse() }],
      [some, some.toReversed()].map((targetModules) => ({ ...lora, targetModules: [...targetModules] })),
      [{ type: 'layers' }, { type: 'layers', head: false }],
    ];
    for (const types of alike)
      expect(() =>
        checkParties(
          types.map((type) => partyOf(type)),
          sides,
        ),
      ).not.toThrow();
  });

  it('that hold the same tensors are refused, whatever their manifests say', () => {
    const one = partyOf(lora);
    expect(() => checkParties([one, one], sides)).toThrow(/is named twice/);
    const other = { ...one, directory: '/other', adapter: { ...one.adapter, digest: 'sha256:other' } };
    expect(() => checkParties([one, other], sides)).toThrow(
      /hold the same tensors;.* and leave the copy out/,
    );
  });

  it('that hold the same tensors in another order are refused too', () => {
    const one = partyOf(lora);
    const from = openCheckpoint(join(one.directory, 'adapter.safetensors'));
    const copied = join(work, 'copied');
    mkdirSync(copied);
    writeSafetensors(
      join(copied, 'adapter.safetensors'),
      [...from.tensors.values()].reverse().map(({ name, shape }) => ({
        ...{ name, shape, dtype: 'F32' as const },
        bytes: () => encodeFloats(from.read(name), 'F32'),
      })),
    );
    from.close();
    sealArtifact(copied, { kind: 'Adapter', madeFrom: { emulator }, hyperparameters: { adapter: lora } });
    const adapter = openAdapter(copied, { model, emulator, bundle: bundleOf([0, 2]) });
    expect(() => checkParties([one, { adapter, directory: copied, weight: '1' }], sides)).toThrow(
      /hold the same tensors/,
    );
    expect(() => checkParties([one, partyOf(lora)], sides)).not.toThrow();
  });

  it('of 64 with 128 layers each fit into a status, those left out first', () => {
    const layers = Array.from({ length: 128 }, (_, layer) => ({
      ...{ layer, taken: layer !== 77, reason: 'x'.repeat(100), norm: '1.23456e-7', distance: '1.23456e-7' },
    }));
    const party = { digest: emulator, weight: '1', norm: '1', distance: '1', taken: 127, leftOut: 1, layers };
    // As long as an address may be.
    const names = new Map([[emulator, 's3://'.padEnd(1024, 'x')]]);
    const found = inStatus(
      Array.from({ length: 64 }, (): PartyVerdict => party),
      names,
    );
    expect(found).toHaveLength(64);
    for (const { layers, adapter } of found) {
      expect(adapter).toBe(names.get(emulator));
      expect(layers.length).toBeGreaterThan(8);
      expect(layers[0]?.layer).toBe(77);
    }
    // What a run's credentials let it say at once.
    expect(JSON.stringify(found).length).toBeLessThan(256 * 1024 - 32 * 1024);
    // With figures without each of them there is room for fewer layers.
    const estimate = { value: '-0.0123', stderr: '0.0123', low: '-0.0123', high: '0.0123' };
    const without = Array.from({ length: 4 }, (_, i) => ({
      ...{ task: `${'x'.repeat(40)}${i}`, plugIn: { value: '0.4321', stderr: '0.0123' } },
      difference: estimate,
    }));
    const measured = inStatus(
      Array.from({ length: 64 }, (): PartyVerdict => ({ ...party, without })),
      new Map(),
    );
    expect(JSON.stringify(measured).length).toBeLessThan(256 * 1024 - 32 * 1024);
    for (const { layers, without: kept } of measured) {
      expect(layers.length).toBeGreaterThan(8);
      expect(layers[0]?.layer).toBe(77);
      expect(kept).toHaveLength(4);
    }
  });
});
