import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Matrix, matrix } from '../../../src/emulator/algebra/matrix.ts';
import { outputComponents, spreadOf } from '../../../src/emulator/compression/components.ts';
import type { Given } from '../../../src/emulator/compression/compression.ts';
import { gradientScores, keptByScore } from '../../../src/emulator/compression/gradient-score.ts';
import { biasOf, type LowRankOptions, lowRank, meansOf } from '../../../src/emulator/compression/low-rank.ts';
import { rankOf, sharesByLoss } from '../../../src/emulator/compression/ratios.ts';
import type { InputMoments } from '../../../src/emulator/observe/observations.ts';
import { Engine } from '../../../src/engine/index.ts';
import type { Model, Slots } from '../../../src/model/index.ts';

interface Case {
  name: string;
  to: number;
  from: number;
  rank: number;
  weight: number[];
  tokens: number;
  mean: number[];
  second: number[];
  sigma: number[];
  error: number;
}
interface Fixture {
  lowRank: Case[];
  gradient: Omit<Case, 'name' | 'rank' | 'sigma' | 'error'> & {
    outputs: number[];
    slope: number[];
    scores: Record<string, number[]>;
  };
  losses: number[];
  ratios: { ratio: number; shares: number[] }[];
}

/** Written by test/reference/compression.py. */
const path = join(import.meta.dirname, '../../fixtures/compression.json');
const fixture = JSON.parse(readFileSync(path, 'utf8')) as Fixture;

let engine: Engine;
beforeAll(async () => {
  engine = await Engine.create({ provider: 'cpu', threads: 1 });
});
afterAll(() => engine.dispose());

const momentsOf = ({ tokens, mean, second }: Omit<Case, 'name'> | Fixture['gradient']): InputMoments => ({
  tokens,
  mean: Float64Array.from(mean),
  second: Float64Array.from(second),
});
const options: LowRankOptions = { ratio: 0.5, ratios: 'uniform', select: 'sigma', lambda: 1 };

/** A model of one linear map a layer. */
function given(layers: readonly Case[], { transposed = false, bias = false } = {}): Given {
  const block = (layer: number): Slots => {
    const { to, from } = layers[layer]!;
    return {
      map: transposed
        ? { name: `${layer}.weight`, shape: [from, to], transposed: true }
        : { name: `${layer}.weight`, shape: [to, from] },
      ...(bias && { mapBias: { name: `${layer}.bias`, shape: [to] } }),
      norm: { name: `${layer}.norm.weight`, shape: [from] },
    };
  };
  const read = (name: string) => {
    const { to, from, weight } = layers[Number(name.split('.')[0])]!;
    if (name.endsWith('bias')) return Float32Array.from({ length: to }, (_, i) => i / 8);
    if (!transposed) return Float32Array.from(weight);
    return Float32Array.from({ length: to * from }, (_, k) => weight[(k % to) * from + Math.floor(k / to)]!);
  };
  const model = { architecture: { block }, read } as unknown as Model;
  const found = {
    inputs: (layer: number) => momentsOf(layers[layer]!),
    gradients: () => {
      throw new Error('not asked for');
    },
  };
  const plan = { clusters: [], kept: [], transferLayers: [], source: [] };
  return { model, found, plan, engine };
}

const derive = (all: Given, rank: number, layer = 0, chosen = options) =>
  lowRank.derive(layer, { maps: { map: { is: 'factors', rank } } }, all, chosen);

/** What is lost of the outputs' variance, E|(W - W')(x - mean)|^2, and of their mean, with the factors as they are stored. */
function lossOf({ to, from, rank, weight, mean, second }: Case, derived: ReadonlyMap<string, Float32Array>) {
  const [left, right, bias] = ['mapLeft', 'mapRight', 'mapBias'].map((slot) => derived.get(slot)!);
  expect([left!.length, right!.length, bias!.length]).toEqual([to * rank, rank * from, to]);
  const difference = (o: number, i: number) => {
    let sum = Math.fround(weight[o * from + i]!);
    for (let r = 0; r < rank; r++) sum -= left![o * rank + r]! * right![r * from + i]!;
    return sum;
  };
  let error = 0;
  const means = Array.from({ length: to }, (_, o) => {
    const row = Array.from({ length: from }, (_, i) => difference(o, i));
    for (let i = 0; i < from; i++)
      for (let j = 0; j < from; j++)
        error += row[i]! * row[j]! * (second[i * from + j]! - mean[i]! * mean[j]!);
    return row.reduce((sum, value, i) => sum + value * mean[i]!, 0) - bias![o]!;
  });
  return { error, means };
}

describe.each(fixture.lowRank)('one map: $name', (one) => {
  const w = (): Matrix => matrix(one.to, one.from, Float32Array.from(one.weight));
  const total = one.sigma.reduce((sum, sigma) => sum + sigma ** 2, 0);

  test("the energies are the squared singular values of NumPy's W C^(1/2)", async () => {
    const { energies, directions } = await outputComponents(engine, w(), spreadOf(momentsOf(one)), one.rank);
    one.sigma.forEach((sigma, r) => {
      expect(energies[r] ?? 0).toBeCloseTo(sigma ** 2, 6 - Math.log10(total));
    });
    expect(directions.columns).toBe(one.to);
  });

  test('what is lost at a rank is what the cut singular values say, and the mean is kept', async () => {
    const { error, means } = lossOf(one, await derive(given([one]), one.rank));
    expect(Math.abs(error - one.error)).toBeLessThan(1e-6 * total);
    for (const mean of means) expect(Math.abs(mean)).toBeLessThan(1e-5);
  });

  test('a map that is stored the other way round gives the same factors', async () => {
    expect(await derive(given([one], { transposed: true }), one.rank)).toEqual(
      await derive(given([one]), one.rank),
    );
  });
});

test('a bias that is there is kept and moved, not replaced', async () => {
  const one = fixture.lowRank[0]!;
  const plain = (await derive(given([one]), 3)).get('mapBias')!;
  const moved = (await derive(given([one], { bias: true }), 3)).get('mapBias')!;
  moved.forEach((value, i) => {
    expect(value).toBeCloseTo(plain[i]! + i / 8, 5);
  });
});

test('inputs that never were, and those that never change, give finite factors of the rank asked for', async () => {
  const one = fixture.lowRank[1]!;
  const dead = { ...one, mean: one.mean.map(() => 0), second: one.second.map(() => 0) };
  const constant = { ...one, second: one.mean.flatMap((a) => one.mean.map((b) => a * b)) };
  const nothing = { ...one, weight: one.weight.map(() => 0) };
  for (const odd of [dead, constant, nothing]) {
    const derived = await derive(given([odd]), one.rank);
    for (const values of derived.values()) expect(values.every(Number.isFinite)).toBe(true);
    const { means } = lossOf({ ...odd }, derived);
    for (const mean of means) expect(Math.abs(mean)).toBeLessThan(1e-5);
  }
});

test('without inputs a map is cut as it is: the largest singular values of W itself stay', async () => {
  const one = fixture.lowRank[0]!;
  const none = { ...one, mean: one.mean.map(() => 0), second: one.second.map(() => 0) };
  const identity = one.second.map((_, k) => Number(k % (one.from + 1) === 0));
  const white = { ...none, second: identity };
  const [blind, seeing] = [await derive(given([none]), 3), await derive(given([white]), 3)];
  blind.get('mapRight')!.forEach((value, i) => {
    expect(value).toBeCloseTo(seeing.get('mapRight')![i]!, 5);
  });
});

test('the rank of a ratio has at most its parameters, and is at least 1', () => {
  expect(rankOf({ to: 576, from: 576 }, 0.35)).toBe(100);
  expect(rankOf({ to: 1536, from: 576 }, 0.35)).toBe(146);
  expect(rankOf({ to: 192, from: 576 }, 0.35)).toBe(50);
  expect(rankOf({ to: 576, from: 1 }, 0.01)).toBe(1);
  expect(rankOf({ to: 4, from: 4 }, 1)).toBe(2);
});

test.each(fixture.ratios)('the shares by loss are those of the formula: $ratio', ({ ratio, shares }) => {
  const found = sharesByLoss(fixture.losses, ratio);
  found.forEach((share, i) => {
    expect(share).toBeCloseTo(shares[i]!, 12);
  });
  expect(found.reduce((sum, share) => sum + share, 0) / found.length).toBeCloseTo(ratio, 12);
});

test('shares stay between nothing and all, and give the ratio, whatever the losses', () => {
  for (const losses of [[0, 0, 0], [1e-9, 1, 1e9], [Math.E, 1e300, 2], [5]])
    for (const ratio of [0.01, 0.1, 0.5, 0.99, 1]) {
      const shares = sharesByLoss(losses, ratio);
      expect(shares.reduce((sum, share) => sum + share, 0) / shares.length).toBeCloseTo(ratio, 9);
      for (const share of shares) {
        expect(share).toBeGreaterThanOrEqual(-1e-12);
        expect(share).toBeLessThanOrEqual(1);
      }
    }
});

test('ranks by loss: one type of map over the layers, more where more would be lost, the sum as before', async () => {
  const [one] = fixture.lowRank as [Case];
  const loud = {
    ...one,
    second: one.second.map((value) => value * 1e4),
    mean: one.mean.map((value) => value * 100),
  };
  const all = given([one, loud]);
  const byLoss = await lowRank.plan([0, 1], all, { ...options, ratio: 0.6, ratios: 'loss' });
  const uniform = await lowRank.plan([0, 1], all, { ...options, ratio: 0.6 });
  const rank = (shapes: typeof uniform, layer: number) => {
    const form = shapes.get(layer)!.maps!['map']!;
    return form.is === 'factors' ? form.rank : 0;
  };
  expect([rank(uniform, 0), rank(uniform, 1)]).toEqual([2, 2]);
  expect(rank(byLoss, 1)).toBeGreaterThan(rank(byLoss, 0));
  expect(uniform.get(0)!.biases).toEqual(['map']);
  const biased = await lowRank.plan([0], given([one], { bias: true }), options);
  expect(biased.get(0)!.biases).toEqual([]);
});

test.each(Object.keys(fixture.gradient.scores).map(Number))(
  "the scores of dropping components are GradOT's, of whole matrices in NumPy: lambda %f",
  async (lambda) => {
    const { to, from, weight, outputs, slope, scores } = fixture.gradient;
    const w = matrix(to, from, weight);
    const moments = momentsOf(fixture.gradient);
    const { directions } = await outputComponents(engine, w, spreadOf(moments), to);
    const gradients = { outputs: Float64Array.from(outputs), weight: Float64Array.from(slope) };
    const found = await gradientScores(engine, w, directions, moments, gradients, lambda);
    const wanted = Object.entries(scores).find(([key]) => Number(key) === lambda)![1];
    found.forEach((score, r) => {
      expect(score / wanted[r]!).toBeCloseTo(1, 6);
    });
  },
);

test('the highest scores stay, and the largest twentieth of the components whatever theirs', () => {
  expect(keptByScore(Float64Array.of(0, 5, 9, 7, 1), 3)).toEqual([0, 2, 3]);
  expect(keptByScore(Float64Array.of(1, 1, 1, 1), 2)).toEqual([0, 1]);
  const falling = Float64Array.from({ length: 60 }, (_, i) => i);
  expect(keptByScore(falling, 5)).toEqual([0, 1, 2, 58, 59]);
  expect(keptByScore(falling, 2)).toEqual([0, 1]);
  expect(keptByScore(falling, 60)).toHaveLength(60);
});

test('components by gradient: what is kept is the span of those of the highest scores', async () => {
  const { to, from, outputs, slope } = fixture.gradient;
  const one: Case = { ...fixture.gradient, name: '', rank: 3, sigma: [], error: 0 };
  const all = given([one]);
  const gradients = { outputs: Float64Array.from(outputs), weight: Float64Array.from(slope) };
  const found = { ...all.found, gradients: () => gradients };
  const chosen: LowRankOptions = { ...options, select: 'gradient', lambda: 2.5e6 };
  expect(lowRank.needs(chosen)).toEqual(['inputs', 'gradients']);
  expect(lowRank.needs(options)).toEqual(['inputs']);
  const left = (await derive({ ...all, found }, 3, 0, chosen)).get('mapLeft')!;
  const w = matrix(to, from, Float32Array.from(one.weight));
  const moments = momentsOf(one);
  const { directions } = await outputComponents(engine, w, spreadOf(moments), to);
  const kept = keptByScore(Float64Array.from(fixture.gradient.scores['2500000.0']!), 3);
  expect(kept).not.toEqual([0, 1, 2]);
  kept.forEach((r, column) => {
    for (let o = 0; o < to; o++) expect(left[o * 3 + column]).toBeCloseTo(directions.data[r * to + o]!, 5);
  });
});

describe.each([
  ['wide', 70, 130, 200],
  ['tall', 130, 70, 200],
  ['tall, of few inputs', 130, 70, 40],
  ['smaller than a block', 20, 16, 50],
])('the factors of a map that is %s', (_, to, from, tokens) => {
  const numbers = (seed: number) => (_: unknown, i: number) => Math.sin((i * 37 + seed) ** 2);
  const inputs = Array.from({ length: tokens }, (_, t) => Array.from({ length: from }, numbers(t + 1)));
  const moment = (of: (x: number[]) => number) => inputs.reduce((sum, x) => sum + of(x), 0) / tokens;
  const one: Case = {
    ...{ name: 'made', to, from, rank: 0, tokens, sigma: [], error: 0 },
    weight: Array.from({ length: to * from }, numbers(0)),
    mean: Array.from({ length: from }, (_, i) => moment((x) => x[i]!)),
    second: Array.from({ length: from * from }, (_, k) =>
      moment((x) => x[Math.floor(k / from)]! * x[k % from]!),
    ),
  };
  const at = (rank: number) => {
    const shape = { maps: { map: { is: 'factors' as const, rank } }, biases: ['map'] };
    return lowRank.derive(0, shape, given([one], { bias: true }), options);
  };

  test('are the first ones of a larger rank, to the bits, with the bias that these imply', async () => {
    const most = Math.floor(0.9 * Math.min(to, from));
    const whole = await at(most);
    const [left, right] = [whole.get('mapLeft')!, whole.get('mapRight')!];
    const w = matrix(to, from, one.weight.map(Math.fround));
    const before = Float32Array.from({ length: to }, (_, i) => i / 8);
    const means = meansOf(w, right, Float64Array.from(one.mean), before);
    for (const rank of [1, 7, 32, 33, 50, most].filter((rank) => rank <= most)) {
      const small = await at(rank);
      expect(small.get('mapRight')).toEqual(right.slice(0, rank * from));
      const columns = Float32Array.from(
        { length: to * rank },
        (_, k) => left[Math.floor(k / rank) * most + (k % rank)]!,
      );
      expect(small.get('mapLeft')).toEqual(columns);
      expect(small.get('mapBias')).toEqual(biasOf(means, left, rank));
    }
  });
});
