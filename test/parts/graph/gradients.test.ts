import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GraphBuilder, gradients } from '../../../src/graph/index.ts';
import { linear, transposed } from '../../../src/model/parts/index.ts';
import {
  type Build,
  declare,
  floats,
  type Input,
  integers,
  named,
  ready,
  seeded,
} from '../../support/unit/graph/session.ts';

const random = seeded(7);
const any = (...shape: number[]) => floats(shape, random);
/** 0.6 to 1.6: where the operator asks for numbers above 0. */
const positive = (...shape: number[]) => floats(shape, () => 1.1 + random() / 2);
/** At least 0.2 away from 0, so that no step crosses a kink there. */
const offZero = (...shape: number[]) =>
  floats(shape, () => {
    const x = random();
    return x + Math.sign(x) * 0.2;
  });
/** So near to 0 that the biases of `offZero` decide the sign of what they are added to. */
const small = (...shape: number[]) => floats(shape, () => random() / 4);
const truths = (...values: number[]): Input => ({ shape: [values.length], data: Uint8Array.from(values) });

const positions = integers([2, 3], [0, 1, 2, 4, 0, 1]);

const cases: [name: string, inputs: Input[], build: Build][] = [
  ['add, broadcast', [any(2, 3, 4), any(3, 1)], (g, [a, b]) => g.add(a!, b!)],
  ['sub, broadcast', [any(3, 1), any(2, 3, 4)], (g, [a, b]) => g.sub(a!, b!)],
  ['mul, broadcast', [any(2, 3), any(3)], (g, [a, b]) => g.mul(a!, b!)],
  ['div, broadcast', [any(2, 3), positive(2, 1)], (g, [a, b]) => g.div(a!, b!)],
  ['max', [offZero(2, 4), floats([1], () => 0)], (g, [a, b]) => g.max(a!, b!)],
  ['min', [offZero(2, 4), floats([1], () => 0)], (g, [a, b]) => g.min(a!, b!)],
  ['neg', [any(5)], (g, [a]) => g.neg(a!)],
  ['reciprocal', [positive(5)], (g, [a]) => g.reciprocal(a!)],
  ['exp', [any(5)], (g, [a]) => g.exp(a!)],
  ['log', [positive(5)], (g, [a]) => g.log(a!)],
  ['sqrt', [positive(5)], (g, [a]) => g.sqrt(a!)],
  ['pow', [positive(5)], (g, [a]) => g.pow(a!, 2.5)],
  ['tanh', [any(5)], (g, [a]) => g.tanh(a!)],
  ['sigmoid', [any(5)], (g, [a]) => g.sigmoid(a!)],
  ['erf', [any(5)], (g, [a]) => g.erf(a!)],
  ['relu', [offZero(8)], (g, [a]) => g.relu(a!)],
  ['silu', [any(2, 5)], (g, [a]) => g.silu(a!)],
  ['gelu', [any(2, 5)], (g, [a]) => g.gelu(a!)],
  ['gelu, tanh', [any(2, 5)], (g, [a]) => g.gelu(a!, 'tanh')],
  ['where, broadcast', [truths(1, 0, 1), any(2, 3), any(1)], (g, [c, a, b]) => g.where(c!, a!, b!)],
  ['matmul', [any(2, 3), any(3, 4)], (g, [a, b]) => g.matmul(a!, b!)],
  [
    'matmul, transB, alpha',
    [any(2, 3), any(4, 3)],
    (g, [a, b]) => g.matmul(a!, b!, { transB: true, alpha: 0.5 }),
  ],
  ['matmul, transA', [any(3, 2), any(3, 4)], (g, [a, b]) => g.matmul(a!, b!, { transA: true })],
  [
    'matmul, both',
    [any(3, 2), any(4, 3)],
    (g, [a, b]) => g.matmul(a!, b!, { transA: true, transB: true, alpha: 2 }),
  ],
  [
    'matmul, weight over a batch, transB',
    [any(2, 3, 4), any(5, 4)],
    (g, [a, b]) => g.matmul(a!, b!, { transB: true }),
  ],
  ['matmul, weight over a batch', [any(2, 3, 4), any(4, 5)], (g, [a, b]) => g.matmul(a!, b!)],
  [
    'matmul, grouped queries',
    [any(1, 2, 3, 4, 5), any(1, 2, 1, 4, 5)],
    (g, [a, b]) => g.matmul(a!, b!, { transB: true, alpha: 0.3 }),
  ],
  ['reshape', [any(2, 6)], (g, [a]) => g.reshape(a!, [3, 4])],
  ['transpose', [any(2, 3, 4)], (g, [a]) => g.transpose(a!, [2, 0, 1])],
  ['slice', [any(2, 6)], (g, [a]) => g.slice(a!, 1, 2, 5)],
  ['slice from the start', [any(6, 2)], (g, [a]) => g.slice(a!, 0, 0, 5)],
  ['slice of everything', [any(3)], (g, [a]) => g.slice(a!, 0, 0, 3)],
  ['concat', [any(2, 1), any(2, 3)], (g, [a, b]) => g.concat([a!, b!], 1)],
  ['expand', [any(2, 1)], (g, [a]) => g.expand(a!, [4, 2, 3])],
  ['reduceSum', [any(2, 3, 4)], (g, [a]) => g.reduceSum(a!, [0, 2], false)],
  ['reduceMean', [any(2, 3, 4)], (g, [a]) => g.reduceMean(a!, [2])],
  ['softmax', [any(2, 5)], (g, [a]) => g.softmax(a!)],
  ['logSoftmax', [any(2, 5)], (g, [a]) => g.logSoftmax(a!)],
  ['rmsNorm', [any(2, 3, 6), any(6)], (g, [x, w]) => g.rmsNorm(x!, w!, 1e-5)],
  ['layerNorm', [any(2, 3, 6), any(6), any(6)], (g, [x, w, b]) => g.layerNorm(x!, w!, b!, 1e-5)],
  ['rotary', [any(2, 3, 8), positions, any(5, 2), any(5, 2)], (g, [x, p, c, s]) => g.rotary(x!, p!, c!, s!)],
  [
    'rotary, of a part of each head',
    [any(2, 3, 12), positions, any(5, 2), any(5, 2)],
    (g, [x, p, c, s]) => g.rotary(x!, p!, c!, s!, 6),
  ],
  ['gather, rows', [any(4, 3), integers([2, 2], [1, 3, 1, 0])], (g, [x, i]) => g.gather(x!, i!, 0)],
  ['gather, last axis', [any(2, 4), integers([3], [2, 2, 0])], (g, [x, i]) => g.gather(x!, i!, 1)],
  [
    'gatherElements',
    [any(2, 4), integers([2, 3], [2, 2, 0, 1, 3, 1])],
    (g, [x, i]) => g.gatherElements(x!, i!),
  ],
  [
    'a low-rank change beside a linear map',
    [any(2, 3, 4), any(5, 4), any(2, 4), any(5, 2), any(2, 3, 4)],
    (g, [x, w, wA, wB, wMask]) => linear(g, x!, { w: w!, wA: wA!, wB: wB!, wMask: wMask! }, 'w'),
  ],
  [
    'a bottleneck behind a linear map',
    [small(2, 3, 4), small(4, 5), small(3, 5), offZero(3), any(5, 3), any(5)],
    (g, [x, w, wDown, wDownBias, wUp, wUpBias]) =>
      transposed(g, x!, { w: w!, wDown: wDown!, wDownBias: wDownBias!, wUp: wUp!, wUpBias: wUpBias! }, 'w'),
  ],
  ['a value used twice', [any(3)], (g, [a]) => g.mul(g.add(a!, a!), g.tanh(a!))],
];

describe('gradients equal finite differences', () => {
  it.each(cases)('%s', async (name, inputs, build) => {
    // Of rotary embeddings only x is differentiated: its tables are no weights.
    const asked = inputs.flatMap(({ data }, i) =>
      data instanceof Float32Array && (!name.startsWith('rotary') || i === 0) ? [i] : [],
    );
    const { loss, analytic } = await prepare(inputs, build, asked);
    const found = await analytic();
    for (const i of asked) {
      const { shape, data } = inputs[i] as { shape: number[]; data: Float32Array };
      expect(found[i]!.shape).toEqual(shape);
      for (let j = 0; j < data.length; j++) {
        const at = data[j]!;
        const numeric = await slope(async (step) => {
          data[j] = at + step;
          return loss();
        });
        data[j] = at;
        expectClose(found[i]!.data[j]!, numeric);
      }
    }
  });
});

describe('gradients along a random direction, of random shapes', () => {
  /** Two shapes that broadcast: a shape with some lengths replaced by 1 and some leading ones left out, each way. */
  const pair = fc
    .array(fc.record({ length: fc.integer({ min: 1, max: 4 }), one: fc.constantFrom('a', 'b', 'none') }), {
      minLength: 1,
      maxLength: 4,
    })
    .chain((axes) =>
      fc.record({
        a: fc.constant(axes.map(({ length, one }) => (one === 'a' ? 1 : length))),
        b: fc
          .integer({ min: 0, max: axes.length - 1 })
          .map((cut) => axes.map(({ length, one }) => (one === 'b' ? 1 : length)).slice(cut)),
        swap: fc.boolean(),
        seed: fc.integer({ min: 1, max: 1e6 }),
      }),
    );

  it.each(['add', 'sub', 'mul', 'div'] as const)('%s', async (operator) => {
    await fc.assert(
      fc.asyncProperty(pair, async ({ a, b, swap, seed }) => {
        const next = seeded(seed);
        const above = () => 1.1 + next() / 2;
        const inputs = (swap ? [b, a] : [a, b]).map((shape) => floats(shape, above));
        await alongDirection(inputs, (g, [x, y]) => g[operator](x!, y!), next);
      }),
      { numRuns: 12 },
    );
  });

  it('matmul', async () => {
    const size = fc.integer({ min: 1, max: 4 });
    const shapes = fc.record({
      batch: pair,
      rows: size,
      inner: size,
      columns: size,
      transA: fc.boolean(),
      transB: fc.boolean(),
      weight: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(shapes, async ({ batch, rows, inner, columns, transA, transB, weight }) => {
        const next = seeded(batch.seed);
        const left = transA ? [inner, rows] : [rows, inner];
        const right = transB ? [columns, inner] : [inner, columns];
        const inputs = [[...batch.a, ...left], weight ? right : [...batch.b, ...right]].map((shape) =>
          floats(shape, next),
        );
        await alongDirection(inputs, (g, [x, y]) => g.matmul(x!, y!, { transA, transB, alpha: 0.7 }), next);
      }),
      { numRuns: 30 },
    );
  });
});

describe('gradients', () => {
  it('compute nothing for inputs that are not asked for', () => {
    const g = new GraphBuilder();
    const [x, w] = [g.input('x', 'float32', [2, 3]), g.input('w', 'float32', [4, 3])];
    const y = g.matmul(x, w, { transB: true });
    const before = g.operations.length;
    gradients(g, [{ value: y, gradient: g.input('dy', 'float32', [2, 4]) }], [x]);
    expect(g.operations.length).toBe(before + 1);
  });

  it('do not look at operators behind the seeds or before what is asked for', () => {
    const g = new GraphBuilder();
    const x = g.input('x', 'float32', [2]);
    const middle = g.apply('Cos', [x], [2]);
    const y = g.neg(middle);
    g.apply('Sin', [y], [2]);
    const dy = g.input('dy', 'float32', [2]);
    expect(gradients(g, [{ value: y, gradient: dy }], [middle])).toHaveLength(1);
  });

  it('of several seeds add up', async () => {
    const g = new GraphBuilder();
    const x = g.input('x0', 'float32', [2]);
    const seeds = [g.neg(x), g.mul(x, x)].map((value) => ({ value, gradient: g.floats([1, 1]) }));
    g.output('dx', gradients(g, seeds, [x])[0]!);
    const { dx } = await (await ready(g))(named([{ shape: [2], data: Float32Array.of(3, -2) }]));
    expect(Array.from(dx!.data)).toEqual([5, -5]);
  });

  it('name the operator that has no rule, a value that nothing depends on, and a seed of another shape', () => {
    const g = new GraphBuilder();
    const x = g.input('x', 'float32', [2]);
    const dy = g.input('dy', 'float32', [2]);
    const y = g.apply('Cos', [x], [2]);
    expect(() => gradients(g, [{ value: y, gradient: dy }], [x])).toThrow('no gradient rule for Cos');
    const most = { value: g.reduceMax(x, [0]), gradient: g.floats([1]) };
    expect(() => gradients(g, [most], [x])).toThrow('no gradient rule for ReduceMax');
    const free = g.input('free', 'float32', [2]);
    const negative = g.neg(x);
    expect(() => gradients(g, [{ value: negative, gradient: dy }], [free])).toThrow(
      'nothing depends on free',
    );
    const long = g.input('long', 'float32', [3]);
    expect(() => gradients(g, [{ value: negative, gradient: long }], [x])).toThrow('[2] cannot be [3]');
  });
});

/** L = sum(y dy) for a fixed dy, and dL/dx for the inputs that are asked for. */
async function prepare(inputs: Input[], build: Build, asked: readonly number[]) {
  const forward = new GraphBuilder();
  const y = build(forward, declare(forward, inputs));
  forward.output('y', y);
  const dy = floats(y.shape, seeded(11));

  const g = new GraphBuilder();
  const values = declare(g, inputs);
  const seed = { value: build(g, values), gradient: g.input('dy', 'float32', y.shape) };
  gradients(
    g,
    [seed],
    asked.map((i) => values[i]!),
  ).forEach((gradient, k) => {
    g.output(`d${asked[k]}`, gradient);
  });
  const [runForward, runBackward] = [await ready(forward), await ready(g)];
  return {
    async loss(): Promise<number> {
      const { data } = (await runForward(named(inputs)))['y']!;
      return data.reduce((sum, value, i) => sum + value * dy.data[i]!, 0);
    },
    async analytic(): Promise<Record<number, { shape: number[]; data: Float32Array }>> {
      const outputs = await runBackward({ ...named(inputs), dy });
      return Object.fromEntries(
        asked.map((i) => [i, { shape: [...outputs[`d${i}`]!.dims], data: outputs[`d${i}`]!.data }]),
      );
    },
  };
}

async function alongDirection(
  inputs: (Input & { data: Float32Array })[],
  build: Build,
  next: () => number,
): Promise<void> {
  const { loss, analytic } = await prepare(
    inputs,
    build,
    inputs.map((_, i) => i),
  );
  const found = await analytic();
  const directions = inputs.map(({ data }) => Float32Array.from(data, next));
  const starts = inputs.map(({ data }) => data.slice());
  const numeric = await slope(async (step) => {
    inputs.forEach(({ data }, i) => {
      data.forEach((_, j) => {
        data[j] = starts[i]![j]! + step * directions[i]![j]!;
      });
    });
    return loss();
  });
  const expected = directions.reduce(
    (sum, direction, i) => sum + direction.reduce((s, d, j) => s + d * found[i]!.data[j]!, 0),
    0,
  );
  expectClose(expected, numeric, inputs[0]!.data.length + inputs[1]!.data.length);
}

/** Central difference of fourth order: the error falls with the fourth power of the step. */
async function slope(at: (step: number) => Promise<number>): Promise<number> {
  const h = 0.02;
  const near = (await at(h)) - (await at(-h));
  const far = (await at(2 * h)) - (await at(-2 * h));
  return (8 * near - far) / (12 * h);
}

function expectClose(actual: number, expected: number, scale = 1): void {
  expect(Math.abs(actual - expected)).toBeLessThan(2e-4 * (scale + Math.abs(expected)));
}
