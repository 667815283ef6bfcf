import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Matrix, matrix } from '../../../src/emulator/algebra/matrix.ts';
import { solveRows } from '../../../src/emulator/algebra/solve.ts';
import type { Given } from '../../../src/emulator/compression/compression.ts';
import { withInputs } from '../../../src/emulator/compression/refit.ts';
import {
  bestOfAll,
  highest,
  type LayerCosts,
  sameInEach,
} from '../../../src/emulator/compression/unit-choice.ts';
import {
  type DividedMap,
  fluctuations,
  gradientTerms,
  magnitudes,
  standardised,
  taylorTerms,
} from '../../../src/emulator/compression/unit-scores.ts';
import { costsOf } from '../../../src/emulator/compression/units.ts';
import { type ScoreName, type WidthOptions, width } from '../../../src/emulator/compression/width.ts';
import type { InputMoments, MapGradients } from '../../../src/emulator/observe/observations.ts';
import { checkShape } from '../../../src/emulator/shapes.ts';
import { Engine } from '../../../src/engine/index.ts';
import { families } from '../../../src/model/families/index.ts';
import { linearMaps, type Model, mapSize, slotsIn } from '../../../src/model/index.ts';
import { fixtureOf, uniform } from '../../support/golden/families/fixture.ts';

interface Case {
  name: string;
  tokens: number;
  to: number;
  from: number;
  weight: number[];
  mean: number[];
  second: number[];
  outputs: number[];
  slope: number[];
  scores: Record<'flap' | 'wanda' | `${'taylor' | 'gradient'}${'Rows' | 'Columns'}`, number[]>;
  refit: { weight: number[]; bias: number[]; error: number; plainBias: number[]; plainError: number };
}

/** Written by test/reference/width.py. */
const fixture = JSON.parse(readFileSync(join(import.meta.dirname, '../../fixtures/width.json'), 'utf8')) as {
  lambda: number;
  kept: number[];
  cases: Case[];
};

let engine: Engine;
beforeAll(async () => {
  engine = await Engine.create({ provider: 'cpu', threads: 1 });
});
afterAll(() => engine.dispose());

function close(found: ArrayLike<number>, expected: ArrayLike<number>, tolerance = 1e-9): void {
  expect(found).toHaveLength(expected.length);
  const scale = Math.max(1, ...Array.from(expected, Math.abs));
  for (let i = 0; i < expected.length; i++)
    expect(Math.abs(found[i]! - expected[i]!), `element ${i}`).toBeLessThan(tolerance * scale);
}

const momentsOf = ({ tokens, mean, second }: Case): InputMoments => ({
  tokens,
  mean: Float64Array.from(mean),
  second: Float64Array.from(second),
});

describe.each(fixture.cases)('as NumPy finds it of tokens: $name', (given) => {
  const w = matrix(given.to, given.from, given.weight);
  const map = (side: 'to' | 'from'): DividedMap => ({
    w,
    cut: { side, runs: [{ of: 'inner', size: 1 }] },
    moments: momentsOf(given),
    gradients: { outputs: Float64Array.from(given.outputs), weight: Float64Array.from(given.slope) },
  });

  test('fluctuations, magnitudes, Taylor terms and GradOT scores', async () => {
    const { scores } = given;
    close(fluctuations(map('from')), scores.flap);
    close(magnitudes(map('from')), scores.wanda);
    close(taylorTerms(map('to')), scores.taylorRows);
    close(taylorTerms(map('from')), scores.taylorColumns);
    close(await gradientTerms(engine, map('to'), fixture.lambda), scores.gradientRows);
    close(await gradientTerms(engine, map('from'), fixture.lambda), scores.gradientColumns);
  });

  test('the refitted map and its bias, and an error that is no larger than without', async () => {
    const fitted = await withInputs(engine, w, momentsOf(given), fixture.kept, { refit: true });
    close(fitted.weight.data, given.refit.weight, 1e-5);
    close(fitted.bias, given.refit.bias, 1e-5);
    const plain = await withInputs(engine, w, momentsOf(given), fixture.kept, { refit: false });
    close(plain.weight.data, Float32Array.from(plain.weight.data), 1e-30);
    close(plain.bias, given.refit.plainBias);
    const errors = [fitted, plain].map(({ weight }) => errorOf(w, weight, momentsOf(given), fixture.kept));
    close(errors, [given.refit.error, given.refit.plainError], 1e-5);
    expect(errors[0]!).toBeLessThanOrEqual(errors[1]! + 1e-9);
  });
});

/** E|W x - W' x_kept - bias|^2 with the best bias, of the moments. */
function errorOf(w: Matrix, weight: Matrix, { mean, second }: InputMoments, kept: readonly number[]): number {
  const { rows, columns: n } = w;
  let error = 0;
  for (let row = 0; row < rows; row++) {
    const change = w.data.slice(row * n, (row + 1) * n);
    kept.forEach((input, i) => {
      change[input]! -= weight.data[row * kept.length + i]!;
    });
    for (let i = 0; i < n; i++)
      for (let j = 0; j < n; j++)
        error += change[i]! * change[j]! * (second[i * n + j]! - mean[i]! * mean[j]!);
  }
  return error;
}

test('a system of equations, and one whose matrix is not positive definite', async () => {
  const solved = await solveRows(engine, matrix(2, 2, [4, 2, 2, 3]), matrix(2, 2, [8, 7, 6, 5]));
  close(solved.data, [1.25, 1.5, 1, 1]);
  await expect(solveRows(engine, matrix(2, 2, [1, 2, 2, 1]), matrix(1, 2, [1, 1]))).rejects.toThrow(
    'not positive definite',
  );
  await expect(solveRows(engine, matrix(1, 1, [Number.NaN]), matrix(1, 1, [1]))).rejects.toThrow(
    'not positive definite',
  );
});

describe('how many heads and channels stay', () => {
  const layer: LayerCosts = {
    whole: 1000,
    unit: { attention: 100, mlp: 10 },
    units: { attention: 4, mlp: 60 },
  };
  const sizeOf = ({ attention, mlp }: { attention: number; mlp: number }) => 100 * attention + 10 * mlp;

  test.each([1, 0.9, 0.5, 0.35, 0.2])('of %d the same in each layer, and not more', (ratio) => {
    const units = sameInEach(layer, ratio);
    expect(sizeOf(units)).toBeLessThanOrEqual(ratio * 1000 + 1e-6);
    expect(sizeOf(units)).toBeGreaterThan(ratio * 1000 - 10);
    expect(units.attention).toBe(Math.max(1, Math.round(4 * ratio)));
  });

  test('all of them at 1, and one of each however small the share', () => {
    const many = { ...layer, whole: 700, units: { attention: 1, mlp: 60 } };
    expect(sameInEach(layer, 1)).toEqual(layer.units);
    expect(sameInEach(many, 1)).toEqual(many.units);
    expect(sameInEach(layer, 1e-9)).toEqual({ attention: 1, mlp: 1 });
  });

  const scored = (seed: string, attention: number, mlp: number) => ({
    ...layer,
    scores: {
      attention: uniform(`${seed} heads`, 4).map((value) => value + attention),
      mlp: uniform(`${seed} channels`, 60).map((value) => value + mlp),
    },
  });

  test('by one threshold: the best of all layers, within the share', () => {
    const layers = [scored('first', 0, 0), scored('second', 1, 1), scored('third', -5, -5)];
    for (const ratio of [1, 0.7, 0.5, 0.2]) {
      const counts = bestOfAll(layers, ratio);
      const size = counts.reduce((sum, units) => sum + sizeOf(units), 0);
      expect(size).toBeLessThanOrEqual(ratio * 3000 + 1e-3);
      expect(size).toBeGreaterThan(ratio * 3000 - 10);
    }
    expect(bestOfAll(layers, 1)).toEqual(layers.map(({ units }) => units));
    expect(bestOfAll(layers, 1e-9)).toEqual(layers.map(() => ({ attention: 1, mlp: 1 })));
    const [first, second, third] = bestOfAll(layers, 0.5);
    expect(second!.mlp).toBeGreaterThan(first!.mlp);
    expect(third).toEqual({ attention: 1, mlp: 1 });
  });

  test('the highest, of equal ones the first', () => {
    expect(highest(Float64Array.of(1, 3, 2, 3, 1), 3)).toEqual([1, 2, 3]);
    expect(highest(Float64Array.of(0, 0, 0), 2)).toEqual([0, 1]);
  });

  test('scores that are all equal are no reason', () => {
    close(standardised(Float64Array.of(2, 2, 2)), [0, 0, 0]);
    close(standardised(Float64Array.of(1)), [0]);
    close(standardised(Float64Array.of(1, 3)), [-Math.SQRT1_2, Math.SQRT1_2]);
  });
});

/** A model of a fixture, its tensors, and what was seen of it: inputs and gradients that are arbitrary. */
function givenOf(variant: string): Given {
  const { config, tensors } = fixtureOf(variant);
  const [name] = config['architectures'] as [string];
  const architecture = families
    .find(({ architectures }) => architectures.includes(name))!
    .parse(config, (name) => tensors.some(([own]) => own === name));
  const sizes = new Map(tensors.map(([name, shape]) => [name, shape.reduce((a, b) => a * b, 1)]));
  const sizeOf = (layer: number, slot: string) => mapSize(architecture.block(layer)[slot]!);
  const inputs = (layer: number, slot: string): InputMoments => {
    const { from } = sizeOf(layer, slot);
    const tokens = 9;
    const values = uniform(`inputs ${layer} ${slot}`, tokens * from);
    const mean = new Float64Array(from);
    const second = new Float64Array(from * from);
    for (let t = 0; t < tokens * from; t += from)
      for (let i = 0; i < from; i++) {
        mean[i]! += values[t + i]! / tokens;
        for (let j = 0; j < from; j++) second[i * from + j]! += (values[t + i]! * values[t + j]!) / tokens;
      }
    return { tokens, mean, second };
  };
  const gradients = (layer: number, slot: string): MapGradients => {
    const { to, from } = sizeOf(layer, slot);
    const g = uniform(`outputs ${layer} ${slot}`, to);
    return {
      outputs: Float64Array.from({ length: to * to }, (_, at) => g[Math.floor(at / to)]! * g[at % to]!),
      weight: uniform(`slope ${layer} ${slot}`, to * from),
    };
  };
  const read = (name: string) => Float32Array.from(uniform(name, sizes.get(name)!));
  const model = { architecture, read } as Pick<Model, 'architecture' | 'read'> as Model;
  const plan = { clusters: [], kept: [], transferLayers: [], source: [] };
  return { model, plan, engine, found: { inputs, gradients } as Given['found'] };
}

const optionsOf = (score: ScoreName, ratio: number): WidthOptions => ({
  score,
  ratio,
  refit: true,
  lambda: 1,
});

describe.each<[variant: string, score: ScoreName]>([
  ['llama', 'flap'],
  ['llama-one-key-head', 'gradient'],
  ['gpt2', 'taylor'],
  ['phi3', 'wanda'],
  ['bloom', 'flap'],
  ['opt-no-biases', 'gradient'],
])('layers of %s by %s', (variant, score) => {
  const layers = [0, 1];

  test('have the parameters that stay, and a value for each slot', async () => {
    const given = givenOf(variant);
    const { architecture } = given.model;
    const options = optionsOf(score, 0.5);
    const shapes = await width.plan(layers, given, options);
    let size = 0;
    for (const layer of layers) {
      const shape = shapes.get(layer)!;
      expect(() => checkShape('bundle', architecture, layer, shape)).not.toThrow();
      const slots = slotsIn(architecture, layer, shape);
      for (const [, { shape }] of linearMaps(slots)) size += shape[0]! * shape[1]!;
      const derived = await width.derive(layer, shape, given, options);
      const own = architecture.block(layer);
      for (const [slot, { shape }] of Object.entries(slots))
        if (derived.has(slot)) expect(derived.get(slot), slot).toHaveLength(shape.reduce((a, b) => a * b, 1));
        else expect(own[slot], slot).toEqual(slots[slot]);
      expect([...derived.keys()].filter((slot) => !(slot in slots))).toEqual([]);
      expect(await width.derive(layer, shape, given, options)).toEqual(derived);
    }
    const { whole } = costsOf(architecture, 0);
    expect(size).toBeLessThanOrEqual(whole);
    expect(size).toBeGreaterThan(0.9 * whole);
  });

  test('are left as they are where everything stays', async () => {
    const given = givenOf(variant);
    expect(await width.plan(layers, given, optionsOf(score, 1))).toEqual(new Map());
    expect((await width.derive(0, {}, given, optionsOf(score, 1))).size).toBe(0);
  });
});

test('a block of which nothing is left but one head and one channel can be made', async () => {
  const given = givenOf('bloom');
  const options = optionsOf('wanda', 1e-9);
  const shape = (await width.plan([1], given, options)).get(1)!;
  expect(shape.widths).toEqual({ heads: 1, groups: 1, inner: 1 });
  const derived = await width.derive(1, shape, given, options);
  expect(shape.kept!.heads).toEqual(shape.kept!.groups);
  expect(derived.get('slopes')).toHaveLength(1);
  for (const values of derived.values()) expect(values.every(Number.isFinite)).toBe(true);
});

test('a stage that is to stop does', async () => {
  const cancel = new SharedArrayBuffer(4);
  const asked = await Engine.create({ provider: 'cpu', threads: 1, cancel });
  Atomics.store(new Int32Array(cancel), 0, 1);
  const given = { ...givenOf('llama'), engine: asked };
  await expect(width.plan([0], given, optionsOf('flap', 0.5))).rejects.toThrow('stopped on request');
  await asked.dispose();
});
