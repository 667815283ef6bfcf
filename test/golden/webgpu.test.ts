// Provider webgpu on a device in software: operators beside the CPU's, families beside transformers.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { rules } from '../../src/graph/rules.ts';
import { fixtureOf, variants } from '../support/golden/families/fixture.ts';
import type { Measured } from '../support/golden/families/table.ts';
import { workDirectory } from '../support/golden/smollm2.ts';
import type { Probed } from '../support/gpu/probed.ts';
import { onSoftwareGpu } from '../support/gpu/software.ts';
import type { StepTraffic } from '../support/gpu/step-traffic.ts';

const work = workDirectory();
afterAll(work.remove);

const directory = (name: string): string => {
  const path = join(work.path, name);
  mkdirSync(path);
  return path;
};

interface Operator {
  name: string;
  operators: string[];
  difference: number;
  onCpu: string[];
}

test('every operator gives all its outputs as the CPU does, and none of floats runs there', async () => {
  const found = await onSoftwareGpu<Operator>('operators.ts', 'webgpu', directory('operators'));
  const tried = new Set(found.flatMap(({ operators }) => operators));
  const forwardOnly = ['ArgMax', 'Cast', 'OneHot', 'ReduceMax', 'ScatterElements', 'Sign'];
  expect([...Object.keys(rules), ...forwardOnly].filter((operator) => !tried.has(operator))).toEqual([]);
  expect(found.filter(({ difference }) => !(difference < 1e-5))).toEqual([]);
  expect(found.filter(({ onCpu }) => onCpu.length > 0)).toEqual([]);
});

/** `make test-faults` tries all variants; else one of each family. */
const every = process.env['EVERY_FAMILY'] === '1';
const families = variants().filter((variant) => every || fixtureOf(variant).emulator);
/** Which of them also train, with every adapter. */
const trained = every ? families : ['llama'];

type Family = Measured & { variant: string; onCpu: string[] };

test('every family gives the logits, loss and gradients of transformers, all of it on the device', async () => {
  const found = await onSoftwareGpu<Family>('families.ts', 'webgpu', directory('families'), ...families);
  expect(found.map(({ variant }) => variant)).toEqual(families);
  for (const { variant, logits, loss, gradients, onCpu } of found) {
    expect(Math.max(logits, loss, gradients), variant).toBeLessThan(1e-3);
    expect(onCpu, variant).toEqual([]);
  }
});

test('five steps of every adapter, and what is plugged in, are those of transformers', async () => {
  const found = await onSoftwareGpu<Family>(
    ...(['families.ts', 'webgpu', directory('trained'), '--tuned', ...trained] as const),
  );
  expect(found.map(({ variant }) => variant)).toEqual(trained);
  for (const { variant, emulator, onCpu } of found) {
    expect(onCpu, variant).toEqual([]);
    if (emulator === undefined) continue;
    const { lora, dropout, beside, droppedBeside, head, bottleneck } = emulator;
    for (const run of [emulator, lora, dropout, beside, droppedBeside, head, bottleneck]) {
      expect(run.losses, variant).toBeLessThan(1e-3);
      expect(run.changes, variant).toBeLessThan(1e-2);
      // A gradient of the head that is nothing but rounding still moves its weight by a whole step of AdamW.
      expect(run.plugIn, variant).toBeLessThan(run === head ? 1e-2 : 1e-3);
    }
  }
});

test('of weights only those that train go to the device after the first step; scores and gradients come home', async () => {
  const steps = await onSoftwareGpu<StepTraffic>('traffic.ts', 'webgpu', directory('traffic'));
  const weights = (bytes: Record<string, number>, of: RegExp) =>
    Object.entries(bytes).reduce((sum, [name, count]) => sum + (of.test(name) ? count : 0), 0);
  const [first, second, third] = steps as [StepTraffic, StepTraffic, StepTraffic];
  expect(second).toEqual(third);
  // What is to stay goes there as `x` of a copy.
  expect(first.sent['x']! - second.sent['x']!).toBe(first.frozen);
  for (const { sent, received, trained, loss } of steps) {
    expect(loss).toBe(first.loss);
    // Once for the forward graph, once for the backward graph.
    expect(weights(sent, /^w\./)).toBe(2 * trained);
    expect(weights(received, /^d\.w\./)).toBe(trained);
    expect(Object.keys(received).filter((name) => !name.startsWith('d.w.'))).toEqual(['scores']);
  }
});

test('of a probe only pooled vectors come home, but for the greatest and the least, which are pooled there', async () => {
  const found = await onSoftwareGpu<Probed>('probe.ts', 'webgpu', directory('probe'));
  expect(found.map(({ pooling }) => pooling)).toEqual(['mean', 'meanWeighted', 'last', 'first', 'max']);
  for (const { pooling, difference, received, sizes } of found) {
    expect(difference, pooling).toBeLessThan(1e-3);
    const { batches, depth, states, vector } = sizes;
    const places = Array.from({ length: depth }, (_, place) => `sums.${place}`);
    expect(received).toEqual(
      pooling === 'max'
        ? { y: batches * depth * states }
        : Object.fromEntries(places.map((name) => [name, batches * 16 * vector])),
    );
  }
});
