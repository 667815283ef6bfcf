import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type PackedBatch, pack, Random } from '../../../src/data/index.ts';
import type { Architecture, Slots } from '../../../src/model/index.ts';
import type { Moment } from '../../../src/tuning/adapters/index.ts';
import { adapterOf, type Change } from '../../../src/tuning/index.ts';

const slots: Slots = {
  norm: { name: 'transformer.h.1.norm.weight', shape: [4] },
  query: { name: 'transformer.h.1.attn.q_proj.weight', shape: [6, 4] },
  queryBias: { name: 'transformer.h.1.attn.q_proj.bias', shape: [6] },
  up: { name: 'transformer.h.1.mlp.c_fc.weight', shape: [4, 5], transposed: true },
};
const head = { name: 'embedding.weight', shape: [9, 4], untied: 'lm_head.weight' };
const architecture = {
  family: 'test',
  hidden: 4,
  head: { head },
  block: () => slots,
} as unknown as Architecture;
const withoutBiases = {
  family: 'test',
  block: () => ({ query: slots['query']! }),
} as unknown as Architecture;
const lora = adapterOf({ type: 'lora', rank: 2, alpha: 6 });
const change = (slot: string) => lora.changes(architecture, 1).find((one) => one.slot === slot) as Change;

describe('LoRA', () => {
  it("has PEFT's names and shapes, for linear maps only, whichever way they are stored", () => {
    expect(lora.changes(architecture, 1).map(({ name, tensors }) => [name, tensors])).toEqual([
      [
        'transformer.h.1.attn.q_proj.weight',
        [
          { name: 'base_model.model.transformer.h.1.attn.q_proj.lora_A.weight', shape: [2, 4] },
          { name: 'base_model.model.transformer.h.1.attn.q_proj.lora_B.weight', shape: [6, 2] },
        ],
      ],
      [
        'transformer.h.1.mlp.c_fc.weight',
        [
          { name: 'base_model.model.transformer.h.1.mlp.c_fc.lora_A.weight', shape: [2, 4] },
          { name: 'base_model.model.transformer.h.1.mlp.c_fc.lora_B.weight', shape: [5, 2] },
        ],
      ],
    ]);
  });

  it("names a module as transformers does where the checkpoint leaves out the outer module's name", () => {
    const bare = { ...architecture, omitted: 'outer.' };
    expect(lora.changes(bare, 1)[0]!.tensors[0]!.name).toMatch(/^base_model\.model\.outer\.transformer\.h/);
  });

  it("starts at the model's own weight, and equal seeds start alike", () => {
    const full = Float32Array.from({ length: 24 }, (_, i) => i - 3);
    const values = change('query').start(full, new Random(5, 1));
    expect(change('query').weight(values, full)).toEqual(full);
    expect(values[0]!.some((value) => value !== 0)).toBe(true);
    expect(Math.max(...values[0]!.map(Math.abs))).toBeLessThanOrEqual(1 / Math.sqrt(4));
    expect(change('query').start(full, new Random(5, 1))).toEqual(values);
  });

  it('adds alpha / rank B A', () => {
    const a = Float32Array.of(1, 0, 2, 0, 0, 1, 0, 0);
    const b = new Float32Array(12).fill(0);
    b[2 * 2] = 1; // B[2, 0]
    b[2 * 2 + 1] = 10; // B[2, 1]
    const weight = change('query').weight([a, b], new Float32Array(24));
    expect([...weight.subarray(8, 12)]).toEqual([3, 30, 6, 0]);
    expect([...weight.subarray(0, 8), ...weight.subarray(12)].every((value) => value === 0)).toBe(true);
  });

  it.each(['query', 'up'])("the factors' gradients are those of the weight: %s", (slot) => {
    const { start, weight, gradients } = change(slot);
    const size = slots[slot]!.shape.reduce((x, y) => x * y, 1);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1e6 }), (seed) => {
        const random = new Random(seed);
        const next = () => random.next() / 2 ** 31 - 1;
        const full = Float32Array.from({ length: size }, next);
        const values = start(full, random).map((one) => one.map(next));
        const direction = values.map((one) => one.map(next));
        const upstream = Float32Array.from({ length: size }, next);
        const loss = (step: number) => {
          const moved = values.map((one, i) => one.map((value, j) => value + step * direction[i]![j]!));
          return weight(moved, full).reduce((sum, value, i) => sum + value * upstream[i]!, 0);
        };
        // the weight is quadratic along a direction, so a central difference is exact but for rounding
        const slope = (loss(0.5) - loss(-0.5)) / 1;
        const found = gradients(values, upstream).reduce(
          (sum, one, i) => sum + one.reduce((part, value, j) => part + value * direction[i]![j]!, 0),
          0,
        );
        expect(found).toBeCloseTo(slope, 3);
      }),
    );
  });

  it('says which linear maps there are when it is asked for another', () => {
    const other = adapterOf({ type: 'lora', targetModules: ['q_proj', 'v_proj'] });
    expect(() => other.changes(architecture, 0)).toThrow(
      'spec.adapter.targetModules: v_proj is no linear map of a test layer; it has q_proj, c_fc',
    );
  });

  it("brings PEFT's configuration", () => {
    const files = lora.files(architecture, [0, 3]);
    expect(JSON.parse(files['adapter_config.json']!)).toMatchObject({
      peft_type: 'LORA',
      r: 2,
      lora_alpha: 6,
      target_modules: ['q_proj', 'c_fc'],
      layers_to_transform: [0, 3],
      fan_in_fan_out: true,
    });
  });
});

describe('LoRA with dropout', () => {
  const dropped = adapterOf({ type: 'lora', rank: 2, alpha: 6, dropout: '0.25' });
  const { changes, masks } = dropped.dropout!;
  const rows = (...names: number[]) =>
    names.map((row) => ({ row, trunk: [5, 6, 7, 8, 9, 5, 6], branches: [], bytes: [] }));
  const [together] = pack(rows(3, 1), { capacity: 32, batch: 1 }) as [PackedBatch];
  const [alone] = pack(rows(3), { capacity: 16, batch: 1 }) as [PackedBatch];
  const at = (batch: PackedBatch, row: number, moment: Moment = { seed: 42, step: 6 }, layer = 1) => {
    const { data } = masks(architecture, layer, batch, moment)['queryMask']!;
    const start = batch.rows.indexOf(row);
    return [...data.slice(start * 4, (start + 7) * 4)];
  };

  it('trains the same tensors beside the weights that they change otherwise', () => {
    const own = dropped.changes(architecture, 1).flatMap(({ tensors }) => tensors);
    const beside = changes(architecture, 1);
    expect(beside.flatMap(({ tensors }) => tensors)).toEqual(own);
    expect(beside.map(({ slot }) => slot)).toEqual(['queryA', 'queryB', 'upA', 'upB']);
    expect(lora.dropout).toBeUndefined();
    expect(adapterOf({ type: 'lora', dropout: '0' }).dropout).toBeUndefined();
  });

  it('leaves out the same numbers of a row however rows are packed', () => {
    expect(at(together, 3)).toEqual(at(alone, 3));
    expect(at(together, 1)).not.toEqual(at(together, 3));
  });

  it('where rows are hidden, leaves out what follows from a row alone, whatever its number is', () => {
    const hidden = { seed: 42, step: 6, byContent: true };
    const numbered = (row: number, tokens: number[]) => {
      const example = { row, trunk: tokens, branches: [], bytes: [] };
      return at(pack([example], { capacity: 16, batch: 1 })[0]!, row, hidden);
    };
    const first = numbered(3, [5, 6, 7, 8, 9, 5, 6]);
    expect(numbered(4, [5, 6, 7, 8, 9, 5, 6])).toEqual(first);
    expect(numbered(3, [5, 6, 7, 8, 9, 6, 5])).not.toEqual(first);
    expect(at(together, 3, hidden)).toEqual(first);
    expect(new Set(first)).toEqual(new Set([0, 4]));
  });

  it('leaves out others with another seed, step, layer or map', () => {
    const first = at(alone, 3);
    expect(at(alone, 3)).toEqual(first);
    expect(at(alone, 3, { seed: 42, step: 7 })).not.toEqual(first);
    expect(at(alone, 3, { seed: 43, step: 6 })).not.toEqual(first);
    const other = { ...architecture, block: () => ({ query: { ...slots['query']!, name: 'h.2.q.weight' } }) };
    const { data } = masks(other as Architecture, 2, alone, { seed: 42, step: 6 })['queryMask']!;
    expect([...data.slice(0, 28)]).not.toEqual(first);
  });

  it('keeps the share that it should, counted alpha / rank / (1 - rate) times', () => {
    const wide = { ...architecture, block: () => ({ query: { name: 'h.0.q.weight', shape: [4, 4096] } }) };
    const [batch] = pack(rows(0), { capacity: 16, batch: 1 }) as [PackedBatch];
    const { data, shape } = masks(wide as unknown as Architecture, 0, batch, { seed: 1, step: 0 })[
      'queryMask'
    ]!;
    expect(shape).toEqual([1, 16, 4096]);
    const values = [...(data as Float32Array)].slice(0, 7 * 4096);
    expect(new Set(values)).toEqual(new Set([0, 4]));
    const kept = values.filter((value) => value > 0).length / values.length;
    // 28,672 numbers: five standard deviations
    expect(Math.abs(kept - 0.75)).toBeLessThan(5 * Math.sqrt((0.25 * 0.75) / values.length));
  });

  it("says so in PEFT's configuration", () => {
    const files = dropped.files(architecture, [0]);
    expect(JSON.parse(files['adapter_config.json']!)).toMatchObject({ lora_dropout: 0.25 });
  });
});

describe('bottlenecks', () => {
  const whole: Slots = {
    ...slots,
    output: { name: 'h.1.attn.c_proj.weight', shape: [6, 4], transposed: true },
    down: { name: 'h.1.mlp.down_proj.weight', shape: [4, 6] },
  };
  const behind = { ...architecture, block: () => whole } as Architecture;
  const modules = adapterOf({ type: 'bottleneck', size: 3 }).changes(behind, 1);

  it('stand behind the maps that join the hidden states, by the names of the published code', () => {
    expect(modules.map(({ slot, name, tensors: [tensor] }) => [slot, name, tensor!.shape])).toEqual([
      ['outputDown', 'h.1.attn.c_proj.adapter.fc1.weight', [3, 4]],
      ['outputDownBias', 'h.1.attn.c_proj.adapter.fc1.bias', [3]],
      ['outputUp', 'h.1.attn.c_proj.adapter.fc2.weight', [4, 3]],
      ['outputUpBias', 'h.1.attn.c_proj.adapter.fc2.bias', [4]],
      ['downDown', 'h.1.mlp.down_proj.adapter.fc1.weight', [3, 4]],
      ['downDownBias', 'h.1.mlp.down_proj.adapter.fc1.bias', [3]],
      ['downUp', 'h.1.mlp.down_proj.adapter.fc2.weight', [4, 3]],
      ['downUpBias', 'h.1.mlp.down_proj.adapter.fc2.bias', [4]],
    ]);
  });

  it('are 64 wide where nothing is said', () => {
    const [first] = adapterOf({ type: 'bottleneck' }).changes(behind, 1);
    expect(first!.tensors[0]!.shape).toEqual([64, 4]);
  });

  it('start with a second map that adds nothing, and equal seeds start alike', () => {
    const started = (seed: number) => {
      const random = new Random(seed, 1);
      return modules.map(({ start }) => [...start(new Float32Array(), random)[0]!]);
    };
    const first = started(5);
    expect(first.map((values) => values.some((value) => value !== 0))).toEqual([
      ...[true, true, false, false],
      ...[true, true, false, false],
    ]);
    expect(started(5)).toEqual(first);
    expect(started(6)).not.toEqual(first);
  });
});

describe('a trained head', () => {
  it.each(['layers', 'bitfit', 'bottleneck'] as const)('comes back by its name of its own: %s', (type) => {
    const kind = adapterOf({ type, head: true });
    expect(kind.head!(architecture)).toMatchObject([
      { slot: 'head', name: 'lm_head.weight', tensors: [{ name: 'lm_head.weight', shape: [9, 4] }] },
    ]);
    expect(adapterOf({ type }).head).toBeUndefined();
  });

  it('is a module to save beside LoRA', () => {
    const kind = adapterOf({ type: 'lora', head: true });
    expect(kind.head!(architecture)).toMatchObject([
      { slot: 'head', name: 'lm_head.weight', tensors: [{ name: 'base_model.model.lm_head.weight' }] },
    ]);
    const config = (other: typeof kind) => other.files(architecture, [0])['adapter_config.json'];
    expect(JSON.parse(config(kind)!)).toMatchObject({ modules_to_save: ['lm_head'] });
    expect(config(lora)).not.toContain('modules_to_save');
  });
});

describe('BitFit', () => {
  it('trains the biases and nothing else', () => {
    const changes = adapterOf({ type: 'bitfit' }).changes(architecture, 1);
    expect(changes.map(({ name, whole }) => [name, whole])).toEqual([
      ['transformer.h.1.attn.q_proj.bias', true],
    ]);
  });

  it('is refused for a model without biases', () => {
    expect(() => adapterOf({ type: 'bitfit' }).changes(withoutBiases, 0)).toThrow(
      'spec.adapter.type: bitfit trains biases, and a test layer has none',
    );
  });
});
