// Half precision beside transformers' float32, with the CPU in the place of the devices: what rounding frozen matrices costs.
import { afterAll, describe, expect, test } from 'vitest';
import type { EngineOptions } from '../../src/engine/index.ts';
import { weightsOf } from '../../src/model/index.ts';
import { PlacedWeights } from '../../src/model/placed-weights.ts';
import { fixtureOf, variants } from '../support/golden/families/fixture.ts';
import { measure, memory } from '../support/golden/families/measure.ts';
import { measureEmulator } from '../support/golden/families/tuned.ts';
import { triedVariants, type Use, withModel as withVariant } from '../support/golden/families/with-model.ts';
import { workDirectory } from '../support/golden/smollm2.ts';
import { onSoftwareGpu } from '../support/gpu/software.ts';

const work = workDirectory();
afterAll(work.remove);

const withModel = <T>(variant: string, options: Partial<EngineOptions>, use: Use<T>) =>
  withVariant({ directory: work.path, variant, ...options }, use);

const families = triedVariants();

/** What the largest of a family's logits and gradients may be off, relative to their root mean square, and its loss. */
const bounds = {
  "cuda's float16": [
    { standsFor: 'cuda', precision: 'float16' },
    {},
    { logits: 1e-2, loss: 2e-4, gradients: 3e-2 },
  ],
  "cuda's bfloat16": [
    { standsFor: 'cuda', precision: 'bfloat16' },
    {},
    { logits: 8e-2, loss: 3e-3, gradients: 0.2 },
  ],
  "webgpu's float16": [
    { precision: 'float16' },
    { spanMemory: 2 ** 30 },
    { logits: 1e-2, loss: 2e-4, gradients: 3e-2 },
  ],
} as const;

describe.each(Object.entries(bounds))('%s', (_, [options, decoder, { logits, loss, gradients }]) => {
  test.each(families)('%s', async (variant) => {
    const found = await withModel(variant, options, (engine, model, fixture) =>
      measure(engine, model, fixture, decoder),
    );
    expect(found.logits).toBeLessThan(logits);
    expect(found.loss).toBeLessThan(loss);
    // A relu's slope jumps where rounding takes its input over 0.
    const jumps = JSON.stringify(fixtureOf(variant).config).includes('"relu"');
    expect(found.gradients).toBeLessThan(jumps ? 1 : gradients);
  });
});

test('five steps of every adapter over a frozen rest in bfloat16', async () => {
  const { lora, dropout, beside, droppedBeside, head, bottleneck, ...own } = await withModel(
    ...(['llama', { standsFor: 'cuda', precision: 'bfloat16' }, measureEmulator] as const),
  );
  for (const { losses } of [own, lora, dropout, beside, droppedBeside, head, bottleneck])
    expect(losses).toBeLessThan(2e-3);
});

test.each([
  ['F16', 'float16'],
  ['BF16', 'bfloat16'],
] as const)(
  "a checkpoint's own %s goes to %s bit for bit, and no vector is rounded",
  async (stored, precision) => {
    const variant = variants().find((name) => fixtureOf(name).dtype === stored)!;
    await withModel(variant, { standsFor: 'cuda', precision }, async (engine, model) => {
      const slots = Object.entries(model.architecture.block(0));
      const placed = new PlacedWeights(engine, model.architecture, weightsOf(model, { memory }), false);
      const { inputs, read } = placed.frozenOf([0]);
      const found = read(inputs);
      expect(slots.some(([, { shape }]) => shape.length === 2)).toBe(true);
      for (const [slot, { name, shape }] of slots) {
        const { dtype, data } = found[`w.${slot}`]!;
        expect(dtype).toBe(shape.length === 2 ? precision : 'float32');
        if (shape.length === 2)
          expect(new Uint8Array(data.buffer)).toEqual(new Uint8Array(model.readBytes(name)));
      }
    });
  },
);

test('a weight beyond float16 is told', async () => {
  await withModel('llama', { standsFor: 'cuda', precision: 'float16' }, async (engine, model) => {
    const far = {
      has: (name: string) => name.includes('q_proj'),
      get: () => new Float32Array(576).fill(7e4),
    };
    const source = weightsOf(model, { memory, overlay: far });
    const { inputs, read } = new PlacedWeights(engine, model.architecture, source, false).frozenOf([0]);
    expect(() => read(inputs)).toThrow(
      /^spec\.engine\.precision: float16 does not reach as far as a number of tensor .*q_proj\.weight; bfloat16 and float32 do$/,
    );
  });
});

test('a device without halves is told when the run starts', async () => {
  const [found] = await onSoftwareGpu<{ reason: string; message: string }>('refused.ts', 'webgpu', 'float16');
  expect(found).toEqual({
    reason: 'EngineUnavailable',
    message:
      'provider webgpu cannot compute in float16 on this device: Program Cast requires f16 but the device does not support it.; spec.engine.precision: float32 needs nothing of it',
  });
});
