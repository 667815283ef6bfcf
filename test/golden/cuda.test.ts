// CUDA's way with graphs and weights, on the CPU in its place: what is frozen is stored in sessions, and the numbers are transformers'.
import { afterAll, expect, test } from 'vitest';
import { Engine } from '../../src/engine/index.ts';
import { measure } from '../support/golden/families/measure.ts';
import { measureEmulator } from '../support/golden/families/tuned.ts';
import { triedVariants, type Use, withModel as withVariant } from '../support/golden/families/with-model.ts';
import { workDirectory } from '../support/golden/smollm2.ts';
import { probesBeside } from '../support/gpu/probed.ts';
import { type StepTraffic, trafficOf } from '../support/gpu/step-traffic.ts';

const work = workDirectory();
afterAll(work.remove);

const withModel = <T>(variant: string, use: Use<T>) =>
  withVariant({ directory: work.path, variant, standsFor: 'cuda' }, use);

const families = triedVariants();

test.each(families)('%s: logits, loss and gradients', async (variant) => {
  const { logits, loss, gradients } = await withModel(variant, measure);
  expect(logits).toBeLessThan(1e-5);
  expect(loss).toBeLessThan(1e-6);
  expect(gradients).toBeLessThan(1e-4);
});

test('five steps of every adapter, and what is plugged in', async () => {
  const { lora, dropout, beside, droppedBeside, head, bottleneck, ...own } = await withModel(
    ...(['llama', measureEmulator] as const),
  );
  for (const { losses, changes, plugIn } of [own, lora, dropout, beside, droppedBeside, head, bottleneck]) {
    expect(losses).toBeLessThan(1e-3);
    expect(changes).toBeLessThan(1e-2);
    // A gradient of the head that is nothing but rounding still moves its weight by a whole step of AdamW.
    expect(plugIn).toBeLessThan(plugIn === head.plugIn ? 1e-2 : 1e-3);
  }
});

test('of weights only those that train go to sessions that store the others, after the first step', async () => {
  const engine = await Engine.create({ provider: 'cpu', threads: 1, standsFor: 'cuda' });
  const [first, second, third] = (await trafficOf(engine, work.path)) as [
    StepTraffic,
    StepTraffic,
    StepTraffic,
  ];
  await engine.dispose();
  const weights = (bytes: Record<string, number>, of: RegExp) =>
    Object.entries(bytes).reduce((sum, [name, count]) => sum + (of.test(name) ? count : 0), 0);
  expect(second).toEqual(third);
  expect(second.loss).toBe(first.loss);
  // Once for the forward graph, once for the backward graph, which runs it again: no residual goes home and back.
  expect(weights(second.sent, /^w\./)).toBe(2 * second.trained);
  expect(weights(second.received, /^d\.w\./)).toBe(second.trained);
  const others = Object.keys(second.received).filter((name) => !name.startsWith('d.w.'));
  expect(others.sort()).toEqual(['d.h', 'scores', 'y']);
  // Nobody asks for a gradient below the layer that trains: its graph alone has the blocks behind it once more.
  expect(weights(first.sent, /^w\./) - 2 * first.trained).toBeGreaterThanOrEqual(first.frozen);
});

test('all blocks are one graph in a probe, whose pooled vectors come home, and states once', async () => {
  const engine = await Engine.create({ provider: 'cpu', threads: 1, standsFor: 'cuda' });
  const found = await probesBeside(engine, work.path);
  await engine.dispose();
  expect(found.map(({ pooling }) => pooling)).toEqual(['mean', 'meanWeighted', 'last', 'first', 'max']);
  for (const { pooling, difference, received, sizes } of found) {
    expect(difference, pooling).toBeLessThan(1e-5);
    const { y, ...sums } = received;
    if (pooling === 'max') {
      expect(received).toEqual({ y: sizes.batches * sizes.depth * sizes.states });
      continue;
    }
    expect(y).toBe(sizes.batches * sizes.states);
    const places = Array.from({ length: sizes.depth }, (_, place) => `sums.${place}`);
    expect(sums).toEqual(Object.fromEntries(places.map((name) => [name, sizes.batches * 16 * sizes.vector])));
  }
});
