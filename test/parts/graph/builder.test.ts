import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { broadcast, GraphBuilder, type Value } from '../../../src/graph/index.ts';
import {
  type Build,
  evaluate,
  floats,
  type Input,
  integers,
  ready,
  seeded,
} from '../../support/unit/graph/session.ts';

const real = (shape: number[], ...values: number[]): Input => ({ shape, data: Float32Array.from(values) });
const x = real([4], -2, -0.5, 0.5, 1);
const sigmoid = (v: number) => 1 / (1 + Math.exp(-v));

/** Operators whose meaning is easy to get wrong, each with the values that it must give. */
const cases: [name: string, inputs: Input[], build: Build, expected: number[]][] = [
  ['silu', [x], (g, [v]) => g.silu(v!), [-2, -0.5, 0.5, 1].map((v) => v * sigmoid(v))],
  // 0.841345, 0.691462 and 0.977250 are the normal distribution at 1, 0.5 and 2.
  [
    'gelu',
    [x],
    (g, [v]) => g.gelu(v!),
    [-2 * (1 - 0.97725), -0.5 * (1 - 0.691462), 0.5 * 0.691462, 0.841345],
  ],
  [
    'gelu, tanh',
    [x],
    (g, [v]) => g.gelu(v!, 'tanh'),
    [-2, -0.5, 0.5, 1].map(
      (v) => 0.5 * v * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (v + 0.044715 * v ** 3))),
    ),
  ],
  ['pow', [real([2], 2, 3)], (g, [v]) => g.pow(v!, 3), [8, 27]],
  ['max', [x, real([1], 0)], (g, [a, b]) => g.max(a!, b!), [0, 0, 0.5, 1]],
  ['min', [x, real([1], 0)], (g, [a, b]) => g.min(a!, b!), [-2, -0.5, 0, 0]],
  [
    'where, cast',
    [integers([3], [1, 0, 2]), real([3], 1, 2, 3), real([1], 9)],
    (g, [c, a, b]) => g.where(g.cast(c!, 'bool'), a!, b!),
    [1, 9, 3],
  ],
  [
    'rmsNorm',
    [real([1, 2], 3, 4), real([2], 1, 10)],
    (g, [v, w]) => g.rmsNorm(v!, w!, 0.5),
    [3 / Math.sqrt(13), 40 / Math.sqrt(13)],
  ],
  [
    'layerNorm',
    [real([1, 2], 3, 5), real([2], 1, 10), real([2], 0, 1)],
    (g, [v, w, b]) => g.layerNorm(v!, w!, b!, 3),
    [-0.5, 6],
  ],
  [
    // One head of size 4 at position 1: (x0, x2) and (x1, x3) are turned by 90 and 0 degrees.
    'rotary',
    [real([1, 1, 4], 1, 2, 3, 4), integers([1, 1], [1]), real([2, 2], 1, 1, 0, 1), real([2, 2], 0, 0, 1, 0)],
    (g, [v, p, c, s]) => g.rotary(v!, p!, c!, s!),
    [-3, 2, 1, 4],
  ],
  [
    'gather',
    [real([3, 2], 1, 2, 3, 4, 5, 6), integers([2], [2, 0])],
    (g, [v, i]) => g.gather(v!, i!, 0),
    [5, 6, 1, 2],
  ],
  [
    'gatherElements',
    [real([2, 3], 1, 2, 3, 4, 5, 6), integers([2, 1], [2, 0])],
    (g, [v, i]) => g.gatherElements(v!, i!),
    [3, 4],
  ],
  [
    'scatterSum',
    [integers([1, 3], [1, 1, 0]), real([1, 3], 1, 2, 3)],
    (g, [i, u]) => g.scatterSum([1, 3], i!, u!, 1),
    [3, 3, 0],
  ],
  ['oneHot', [integers([2], [1, 0])], (g, [i]) => g.oneHot(i!, 3), [0, 1, 0, 1, 0, 0]],
  ['reduceMax', [real([2, 3], -3, -1, -2, 5, -Infinity, 4)], (g, [v]) => g.reduceMax(v!, [1]), [-1, 5]],
  [
    'reduceMax, of the first dimension, which goes',
    [real([2, 3], -3, -1, -2, 5, -Infinity, 4)],
    (g, [v]) => g.reduceMax(v!, [0], false),
    [5, -1, 4],
  ],
  ['slice', [real([2, 3], 1, 2, 3, 4, 5, 6)], (g, [v]) => g.slice(v!, 1, 1, 3), [2, 3, 5, 6]],
  ['transpose', [real([2, 3], 1, 2, 3, 4, 5, 6)], (g, [v]) => g.transpose(v!, [1, 0]), [1, 4, 2, 5, 3, 6]],
  [
    'logSoftmax',
    [real([1, 2], 0, Math.log(3))],
    (g, [v]) => g.logSoftmax(v!),
    [-Math.log(4), Math.log(0.75)],
  ],
];

describe('operators', () => {
  it.each(cases)('%s', async (_name, inputs, build, expected) => {
    const { data } = await evaluate(inputs, build);
    expect(data.length).toBe(expected.length);
    data.forEach((value, i) => {
      expect(value).toBeCloseTo(expected[i]!, 5);
    });
  });

  it('matmul is the sum of products over broadcast leading dimensions, of either orientation', async () => {
    const size = fc.integer({ min: 1, max: 4 });
    const sizes = fc.record({
      batch: size,
      rows: size,
      inner: size,
      columns: size,
      transA: fc.boolean(),
      transB: fc.boolean(),
      seed: size,
    });
    await fc.assert(
      fc.asyncProperty(sizes, async ({ batch, rows, inner, columns, transA, transB, seed }) => {
        const next = seeded(seed);
        const a = floats([batch, 1, ...(transA ? [inner, rows] : [rows, inner])], next);
        const b = floats([3, ...(transB ? [columns, inner] : [inner, columns])], next);
        const { shape, data } = await evaluate([a, b], (g, [u, v]) =>
          g.matmul(u!, v!, { transA, transB, alpha: -2 }),
        );
        expect(shape).toEqual([batch, 3, rows, columns]);
        data.forEach((value, at) => {
          const [j, i] = [at % columns, Math.floor(at / columns) % rows];
          const [k, n] = [Math.floor(at / (columns * rows)) % 3, Math.floor(at / (columns * rows * 3))];
          let sum = 0;
          for (let m = 0; m < inner; m++) {
            const left = a.data[n * rows * inner + (transA ? m * rows + i : i * inner + m)]!;
            sum += left * b.data[k * inner * columns + (transB ? j * inner + m : m * columns + j)]!;
          }
          expect(value).toBeCloseTo(-2 * sum, 5);
        });
      }),
      { numRuns: 25 },
    );
  });

  it('tell the shapes that onnxruntime finds', async () => {
    const builds: [Input, (g: GraphBuilder, v: Value) => Value][] = [
      [floats([2, 3, 4], () => 1), (g, v) => g.reduceSum(v, [0, 2], false)],
      [floats([2, 3, 4], () => 1), (g, v) => g.reduceSum(v, [1])],
      [floats([2, 3, 4], () => 1), (g, v) => g.reduceMax(v, [0, 2], false)],
      [floats([2, 3, 4], () => 1), (g, v) => g.reduceMax(v, [1])],
      [floats([2, 3, 4], () => 1), (g, v) => g.gather(v, g.integers([0, 1, 1, 0]), 1)],
      [floats([2, 1], () => 1), (g, v) => g.expand(v, [5, 2, 3])],
      [floats([2, 3], () => 1), (g, v) => g.concat([v, v], 0)],
      [floats([2, 3], () => 1), (g, v) => g.add(v, g.zeros([4, 1, 3]))],
    ];
    for (const [input, build] of builds) {
      let told: readonly number[] = [];
      const { shape } = await evaluate([input], (g, [v]) => {
        const y = build(g, v!);
        told = y.shape;
        return y;
      });
      expect(shape).toEqual(told);
    }
  });
});

describe('shapes that do not fit are refused by name', () => {
  const g = new GraphBuilder();
  const value = (...shape: number[]) => g.input('v', 'float32', shape);
  const whole = g.input('i', 'int64', [2]);
  const refused: [name: string, make: () => Value, message: string][] = [
    ['add', () => g.add(value(2, 3), value(2)), 'shapes [2,3] and [2] do not broadcast'],
    ['types', () => g.add(value(2), whole), 'Add: float32 and int64 differ'],
    ['matmul', () => g.matmul(value(2, 3), value(4, 3)), 'matmul: [2,3] and [4,3] do not fit'],
    ['matmul of a vector', () => g.matmul(value(3), value(3, 3)), 'matmul: [3] has no two dimensions'],
    ['reshape', () => g.reshape(value(2, 3), [5]), 'reshape: [2,3] to [5]'],
    ['transpose', () => g.transpose(value(2, 3), [0, 0]), 'transpose: (0,0) permutes no [2,3]'],
    ['slice', () => g.slice(value(2, 3), 1, 1, 4), 'slice: 1 to 4 is not within axis 1 of [2,3]'],
    ['concat', () => g.concat([value(2, 3), value(3, 3)], 1), '[2,3], [3,3] differ beside axis 1'],
    ['expand', () => g.expand(value(2, 3), [3]), 'expand: [2,3] does not broadcast to [3]'],
    ['an axis', () => g.reduceSum(value(2), [1]), '[2] has no axis 1'],
    ['where', () => g.where(value(2), value(2), value(2)), 'the condition is float32, not bool'],
    ['rmsNorm', () => g.rmsNorm(value(2, 3), value(2), 1e-5), '[2] does not fit [2,3]'],
    ['gatherElements', () => g.gatherElements(value(3, 3), whole), '[3,3] and [2] differ before'],
    ['rotary', () => g.rotary(value(1, 1, 6), whole, value(9, 2), value(9, 2)), 'rotary: [1,1,6]'],
  ];
  it.each(refused)('%s', (_name, make, message) => {
    expect(make).toThrow(message);
  });

  it('broadcasting is symmetric, and a shape with itself or a scalar is that shape', () => {
    const shape = fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 5 });
    fc.assert(
      fc.property(shape, fc.array(fc.boolean(), { maxLength: 5 }), (a, ones) => {
        const b = a.map((length, i) => (ones[i] ? 1 : length));
        expect(broadcast(a, b)).toEqual(a);
        expect(broadcast(b, a)).toEqual(a);
        expect(broadcast(a, [])).toEqual(a);
      }),
    );
  });
});

describe('serialize', () => {
  it('gives an output the name asked for, also where it is an input or given twice', async () => {
    const g = new GraphBuilder();
    const v = g.input('x', 'float32', [2]);
    g.output('same', v);
    g.output('negative', g.neg(v));
    const stored = g.initializer('stored', Float32Array.of(5, 6), [2]);
    g.output('sum', g.add(v, stored));
    g.output('stored again', stored);
    const outputs = await (await ready(g))({ x: real([2], 1, 2) });
    const lists = Object.fromEntries(
      Object.entries(outputs).map(([name, { data }]) => [name, Array.from(data)]),
    );
    expect(lists).toEqual({ same: [1, 2], negative: [-1, -2], sum: [6, 8], 'stored again': [5, 6] });
  });

  it('is the same bytes for the same graph', () => {
    const make = () => {
      const g = new GraphBuilder();
      g.output('y', g.softmax(g.matmul(g.input('x', 'float32', [2, 3]), g.zeros([3, 4]))));
      return g.serialize();
    };
    expect(make()).toEqual(make());
  });
});

it('softmax leaves exactly nothing to -Infinity, at any length and place', async () => {
  for (let length = 2; length <= 40; length++) {
    const seen = length >> 1;
    const scores = [-3e38, -1, 0, 88, 3e38].map((score) =>
      Float32Array.from({ length }, (_, place) => (place === seen ? score : Number.NEGATIVE_INFINITY)),
    );
    const data = Float32Array.from(scores.flatMap((row) => [...row]));
    const weights = await evaluate([{ shape: [scores.length, length], data }], (g, [v]) => g.softmax(v!));
    expect(weights.data).toEqual(Array.from(data, (_, i) => Number(i % length === seen)));
  }
});
