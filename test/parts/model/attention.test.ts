// Attention by tiles beside the graph that training differentiates.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Engine, type Tensor } from '../../../src/engine/index.ts';
import { GraphBuilder, product } from '../../../src/graph/index.ts';
import { attention } from '../../../src/model/parts/index.ts';

const [batch, length, heads, groups, size] = [2, 272, 4, 2, 16];
const scores = heads * length ** 2 * 4;
const engines: Engine[] = [];
beforeAll(async () => {
  for (const threads of [1, 2]) engines.push(await Engine.create({ provider: 'cpu', threads }));
});
afterAll(async () => {
  for (const engine of engines) await engine.dispose();
});

const floats = (shape: readonly number[], of: (i: number) => number): Tensor => ({
  dtype: 'float32',
  shape,
  data: Float32Array.from({ length: product(shape) }, (_, i) => of(i)),
});
const waves = (width: number, speed: number) =>
  floats([batch, length, width], (i) => 2 * Math.sin(speed * i + 0.3));
/** Rows of 40 tokens behind each other, each token seeing its own row's up to itself. */
const rows = floats([batch, 1, 1, length, length], (i) => {
  const [query, key] = [Math.floor(i / length) % length, i % length];
  return key <= query && Math.floor(key / 40) === Math.floor(query / 40) ? 0 : Number.NEGATIVE_INFINITY;
});
/** A bias of each head's own, of the key. */
const slopes = floats(
  [batch, groups, heads / groups, 1, length],
  (i) => (i % length) / 2 ** (1 + ((i / length) % heads)),
);

const cases: Readonly<Record<string, { cap?: number; bias: Tensor[] }>> = {
  rows: { bias: [rows] },
  'capped scores': { cap: 3, bias: [rows] },
  'a bias of each head': { bias: [slopes, rows] },
};

function built({ cap, bias }: { cap?: number; bias: Tensor[] }, mostScores?: number): GraphBuilder {
  const g = new GraphBuilder();
  const given = (name: string, width: number) => g.input(name, 'float32', [batch, length, width]);
  const [first, ...more] = bias.map(({ shape }, i) => g.input(`bias${i}`, 'float32', shape));
  const [queries, keys, values] = [
    given('q', heads * size),
    given('k', groups * size),
    given('v', groups * size),
  ];
  g.output('y', attention({ g, mostScores }, queries, keys, values, { size, cap, bias: [first!, ...more] }));
  return g;
}

test.each(Object.entries(cases))(
  '%s: by tiles what there is with all scores, on any number of threads',
  async (name, options) => {
    const feeds = {
      ...{ q: waves(heads * size, 1.7), k: waves(groups * size, 0.9), v: waves(groups * size, 2.3) },
      ...Object.fromEntries(options.bias.map((bias, i) => [`bias${i}`, bias])),
    };
    const run = async (engine: Engine, mostScores?: number) => {
      const session = await engine.session(`${name} ${mostScores}`, () => built(options, mostScores));
      return (await session.run(feeds))['y']!.data as Float32Array;
    };
    const [whole, tiled, byTwo] = [
      await run(engines[0]!),
      await run(engines[0]!, 0),
      await run(engines[1]!, 0),
    ];
    const largest = whole.reduce((most, value, i) => Math.max(most, Math.abs(value - tiled[i]!)), 0);
    expect(largest).toBeLessThan(1e-5);
    expect(byTwo).toEqual(tiled);
  },
);

test.each([1, 1e16])(
  'by tiles a token hears nothing of another row, with queries %f times as large',
  async (times) => {
    const session = await engines[0]!.session('rows 0', () => built({ bias: [rows] }, 0));
    /** @param first what the keys and values of the first row are multiplied by */
    const run = async (first: number) => {
      const given = (width: number, speed: number, factor: number) => {
        const waved = waves(width, speed);
        const ofFirst = (i: number) => Math.floor(i / width) % length < 40;
        return {
          ...waved,
          data: (waved.data as Float32Array).map((v, i) => (ofFirst(i) ? first : 1) * factor * v),
        };
      };
      const [q, k, v] = [
        given(heads * size, 1.7, times),
        given(groups * size, 0.9, 1),
        given(groups * size, 2.3, 1),
      ];
      const y = (await session.run({ q, k, v, bias0: rows }))['y']!.data as Float32Array;
      return [0, 1].map((sequence) =>
        y.subarray((sequence * length + 40) * heads * size, (sequence + 1) * length * heads * size),
      );
    };
    const [one, other] = [await run(1), await run(-3)];
    expect(one.flatMap((part) => [...part]).every(Number.isFinite)).toBe(true);
    expect(other).toEqual(one);
  },
);

test.each<[string, 'q' | 'k', number, (width: number) => (i: number) => boolean]>([
  ['all queries are NaN', 'q', Number.NaN, () => () => true],
  ['all keys are NaN', 'k', Number.NaN, () => () => true],
  ['all queries are so large that scores overflow', 'q', 3e38, () => () => true],
  ["one token's query is NaN", 'q', Number.NaN, (width) => (i) => Math.floor(i / width) === 50],
  ["one token's key is infinite", 'k', Number.POSITIVE_INFINITY, (width) => (i) => i === 50 * width],
])('by tiles nothing is better than with all scores where %s', async (_, name, by, isMeant) => {
  const changed = (own: string, width: number, speed: number) => {
    const { shape, data } = waves(width, speed);
    const times = (data as Float32Array).map((v, i) => (own === name && isMeant(width)(i) ? v * by : v));
    return { dtype: 'float32' as const, shape, data: times };
  };
  const feeds = {
    ...{ q: changed('q', heads * size, 1.7), k: changed('k', groups * size, 0.9) },
    ...{ v: waves(groups * size, 2.3), bias0: rows },
  };
  const run = async (mostScores?: number) => {
    const session = await engines[0]!.session(`rows ${mostScores}`, () =>
      built({ bias: [rows] }, mostScores),
    );
    return (await session.run(feeds))['y']!.data as Float32Array;
  };
  const [whole, tiled] = [await run(), await run(0)];
  expect(whole.some(Number.isNaN)).toBe(true);
  expect(whole.every((value, i) => Number.isFinite(value) || Number.isNaN(tiled[i]))).toBe(true);
});

test('scores are in memory below the bound, and none from there on', () => {
  const operators = (mostScores?: number) =>
    built({ bias: [rows] }, mostScores).operations.map(({ operator }) => operator);
  for (const most of [undefined, scores + 1]) expect(operators(most)).toContain('Softmax');
  expect(operators(scores)).toContain('GroupQueryAttention');
  expect(operators(scores)).not.toContain('Softmax');
});

test('heads of a size that the operator does not take keep their scores in memory', () => {
  const operatorsOf = (size: number) => {
    const g = new GraphBuilder();
    const [q, k, v] = ['q', 'k', 'v'].map((name) => g.input(name, 'float32', [1, 4, 2 * size]));
    const bias = g.input('bias', 'float32', [1, 1, 1, 4, 4]);
    g.output('y', attention({ g, mostScores: 0 }, q!, k!, v!, { size, bias: [bias] }));
    return g.operations.map(({ operator }) => operator);
  };
  expect(operatorsOf(8)).toContain('GroupQueryAttention');
  for (const size of [2, 12]) expect(operatorsOf(size)).toContain('Softmax');
});

test('a bias of another shape is refused', () => {
  const g = new GraphBuilder();
  const [q, k] = [g.input('q', 'float32', [1, 8, 32]), g.input('k', 'float32', [1, 8, 16])];
  const bias = g.input('bias', 'float32', [1, 3, 8, 8]);
  expect(() => g.groupQueryAttention([q, k, k], bias, { size: 8, scale: 1 })).toThrow(
    '[1,3,8,8] does not fit',
  );
});
