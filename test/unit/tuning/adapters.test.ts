import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Random } from '../../../src/data/index.ts';
import type { Architecture, Slots } from '../../../src/model/index.ts';
import { adapterOf, type Change } from '../../../src/tuning/index.ts';

const slots: Slots = {
  norm: { name: 'transformer.h.1.norm.weight', shape: [4] },
  query: { name: 'transformer.h.1.attn.q_proj.weight', shape: [6, 4] },
  queryBias: { name: 'transformer.h.1.attn.q_proj.bias', shape: [6] },
  up: { name: 'transformer.h.1.mlp.c_fc.weight', shape: [4, 5], transposed: true },
};
const architecture = { family: 'test', block: () => slots } as unknown as Architecture;
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
