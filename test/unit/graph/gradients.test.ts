import * as ort from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { GraphBuilder, gradients, split, type Value } from '../../../src/graph/index.ts';

type Build = (g: GraphBuilder, inputs: Value[]) => Value;

/** Each operator with the shapes of its inputs; `positive` keeps them above 0.5 where the operator asks for it. */
const cases: [name: string, shapes: number[][], build: Build, positive?: boolean][] = [
  [
    'add, broadcast',
    [
      [2, 3, 4],
      [3, 1],
    ],
    (g, [a, b]) => g.add(a!, b!),
  ],
  [
    'sub, broadcast',
    [
      [3, 1],
      [2, 3, 4],
    ],
    (g, [a, b]) => g.sub(a!, b!),
  ],
  ['mul, broadcast', [[2, 3], [3]], (g, [a, b]) => g.mul(a!, b!)],
  [
    'div',
    [
      [2, 3],
      [2, 3],
    ],
    (g, [a, b]) => g.div(a!, b!),
    true,
  ],
  ['neg', [[5]], (g, [a]) => g.neg(a!)],
  ['exp', [[5]], (g, [a]) => g.exp(a!)],
  ['log', [[5]], (g, [a]) => g.log(a!), true],
  ['sqrt', [[5]], (g, [a]) => g.sqrt(a!), true],
  ['tanh', [[5]], (g, [a]) => g.tanh(a!)],
  ['sigmoid', [[5]], (g, [a]) => g.sigmoid(a!)],
  ['erf', [[5]], (g, [a]) => g.erf(a!)],
  ['relu', [[5]], (g, [a]) => g.relu(a!), true],
  ['silu', [[2, 5]], (g, [a]) => g.silu(a!)],
  [
    'matmul',
    [
      [2, 3],
      [3, 4],
    ],
    (g, [a, b]) => g.matmul(a!, b!),
  ],
  [
    'matmul, transB, alpha',
    [
      [2, 3],
      [4, 3],
    ],
    (g, [a, b]) => g.matmul(a!, b!, { transB: true, alpha: 0.5 }),
  ],
  [
    'matmul, transA',
    [
      [3, 2],
      [3, 4],
    ],
    (g, [a, b]) => g.matmul(a!, b!, { transA: true }),
  ],
  [
    'matmul, both',
    [
      [3, 2],
      [4, 3],
    ],
    (g, [a, b]) => g.matmul(a!, b!, { transA: true, transB: true, alpha: 2 }),
  ],
  [
    'matmul, weight over a batch',
    [
      [2, 3, 4],
      [5, 4],
    ],
    (g, [a, b]) => g.matmul(a!, b!, { transB: true }),
  ],
  [
    'matmul, weight over a batch, plain',
    [
      [2, 3, 4],
      [4, 5],
    ],
    (g, [a, b]) => g.matmul(a!, b!),
  ],
  [
    'matmul, grouped queries',
    [
      [1, 2, 3, 4, 5],
      [1, 2, 1, 4, 5],
    ],
    (g, [a, b]) => g.matmul(a!, b!, { transB: true, alpha: 0.3 }),
  ],
  ['reshape', [[2, 6]], (g, [a]) => g.reshape(a!, [3, 4])],
  ['transpose', [[2, 3, 4]], (g, [a]) => g.transpose(a!, [2, 0, 1])],
  ['slice', [[2, 6]], (g, [a]) => g.slice(a!, 1, 2, 5)],
  [
    'concat',
    [
      [2, 1],
      [2, 3],
    ],
    (g, [a, b]) => g.concat([a!, b!], 1),
  ],
  ['expand', [[2, 1]], (g, [a]) => g.expand(a!, [2, 3])],
  ['reduceSum', [[2, 3, 4]], (g, [a]) => g.reduceSum(a!, [1], false)],
  ['reduceMean', [[2, 3, 4]], (g, [a]) => g.reduceMean(a!, [2])],
  ['softmax', [[2, 5]], (g, [a]) => g.softmax(a!)],
  ['logSoftmax', [[2, 5]], (g, [a]) => g.logSoftmax(a!)],
  ['rmsNorm', [[2, 3, 6], [6]], (g, [x, w]) => g.rmsNorm(x!, w!, 1e-5)],
];

describe('gradients equal finite differences', () => {
  it.each(cases)('%s', async (_name, shapes, build, positive = false) => {
    const random = seeded(7);
    const feeds = Object.fromEntries(
      shapes.map((shape, i) => [
        `x${i}`,
        tensor(shape, () => (positive ? 0.6 + random() : 2 * random() - 1)),
      ]),
    );
    const forward = new GraphBuilder();
    const y = build(
      forward,
      shapes.map((shape, i) => forward.input(`x${i}`, 'float32', shape)),
    );
    forward.output('y', y);
    const dy = tensor(y.shape, () => 2 * random() - 1);

    const g = new GraphBuilder();
    const inputs = shapes.map((shape, i) => g.input(`x${i}`, 'float32', shape));
    const value = build(g, inputs);
    const grads = gradients(g, [{ value, gradient: g.input('dy', 'float32', value.shape) }], inputs);
    grads.forEach((gradient, i) => {
      g.output(`d${i}`, gradient);
    });
    const analytic = await run(g, { ...feeds, dy });

    const session = await ort.InferenceSession.create(forward.serialize());
    const loss = async () => {
      const data = (await session.run(feeds))['y']!.data as Float32Array;
      return data.reduce((sum, v, i) => sum + v * (dy.data as Float32Array)[i]!, 0);
    };
    for (const [i, shape] of shapes.entries()) {
      expect(analytic[`d${i}`]!.dims).toEqual(shape);
      const x = feeds[`x${i}`]!.data as Float32Array;
      for (let j = 0; j < x.length; j++) {
        const at = x[j]!;
        const h = 1e-2;
        x[j] = at + h;
        const above = await loss();
        x[j] = at - h;
        const below = await loss();
        x[j] = at;
        expect((analytic[`d${i}`]!.data as Float32Array)[j]!).toBeCloseTo((above - below) / (2 * h), 2);
      }
    }
  });

  it('computes nothing for inputs that are not asked for', () => {
    const g = new GraphBuilder();
    const [x, w] = [g.input('x', 'float32', [2, 3]), g.input('w', 'float32', [4, 3])];
    const y = g.matmul(x, w, { transB: true });
    const before = g.operations.length;
    gradients(g, [{ value: y, gradient: g.input('dy', 'float32', [2, 4]) }], [x]);
    expect(g.operations.length).toBe(before + 1);
  });

  it('names the operator that has no rule, and a value that nothing depends on', () => {
    const g = new GraphBuilder();
    const x = g.input('x', 'float32', [2]);
    const dy = g.input('dy', 'float32', [2]);
    const y = g.apply('Cos', [x], [2]);
    expect(() => gradients(g, [{ value: y, gradient: dy }], [x])).toThrow('no gradient rule for Cos');
    const free = g.input('free', 'float32', [2]);
    expect(() => gradients(g, [{ value: g.neg(x), gradient: dy }], [free])).toThrow(
      'nothing depends on free',
    );
  });
});

describe('split', () => {
  it('gives the gradients of the one graph from residuals', async () => {
    const build = (g: GraphBuilder) => {
      const x = g.input('x', 'float32', [2, 3, 4]);
      const w = g.input('w', 'float32', [5, 4]);
      const v = g.input('v', 'float32', [4, 5]);
      const n = g.input('n', 'float32', [4]);
      const hidden = g.silu(g.matmul(g.rmsNorm(x, n, 1e-5), w, { transB: true }));
      return { y: g.add(x, g.matmul(hidden, v, { transB: true })), wrt: [x, w, v, n] };
    };
    const random = seeded(3);
    const shapes: Record<string, number[]> = { x: [2, 3, 4], w: [5, 4], v: [4, 5], n: [4] };
    const feeds = Object.fromEntries(
      Object.entries(shapes).map(([name, shape]) => [name, tensor(shape, random)]),
    );
    const dy = tensor([2, 3, 4], random);

    const one = new GraphBuilder();
    const { y, wrt } = build(one);
    gradients(one, [{ value: y, gradient: one.input('dy', 'float32', y.shape) }], wrt).forEach(
      (gradient, i) => {
        one.output(`d.${wrt[i]!.name}`, gradient);
      },
    );
    const expected = await run(one, { ...feeds, dy });

    const parts = split(build);
    const saved = await run(parts.forward, feeds);
    const given = Object.fromEntries([
      ...parts.reread.map((name) => [name, feeds[name]!] as const),
      ...parts.residuals.map(({ name }) => [name, saved[`saved.${name}`]!] as const),
    ]);
    const actual = await run(parts.backward, { ...given, dy });
    for (const name of Object.keys(expected)) {
      (expected[name]!.data as Float32Array).forEach((value, i) => {
        expect((actual[name]!.data as Float32Array)[i]!).toBeCloseTo(value, 5);
      });
    }
  });
});

async function run(g: GraphBuilder, feeds: Record<string, ort.Tensor>): Promise<Record<string, ort.Tensor>> {
  return (await ort.InferenceSession.create(g.serialize())).run(feeds);
}

function tensor(shape: readonly number[], next: () => number): ort.Tensor {
  return new ort.Tensor(
    'float32',
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, next),
    shape,
  );
}

function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 16807) % 2147483647;
    return state / 2147483647;
  };
}
