import { describe, expect, it } from 'vitest';
import { GraphBuilder, gradients, product, split, type Value } from '../../../src/graph/index.ts';
import {
  floats,
  type Input,
  integers,
  type Outputs,
  ready,
  seeded,
} from '../../support/unit/graph/session.ts';

const [batch, length, width, heads, size, inner] = [2, 3, 8, 2, 4, 6];

const parameters = {
  x: [batch, length, width],
  norm: [width],
  query: [width, width],
  key: [width, width],
  value: [width, width],
  output: [width, width],
  gate: [inner, width],
  up: [inner, width],
  down: [width, inner],
};
type Name = keyof typeof parameters;
const names = Object.keys(parameters) as Name[];

/** A decoder block in small, that uses every operator of the LLaMA family. */
function block(asked: readonly Name[]) {
  return (g: GraphBuilder): { y: Value; wrt: Value[] } => {
    const w = Object.fromEntries(
      names.map((name) => [name, g.input(name, 'float32', parameters[name])]),
    ) as Record<Name, Value>;
    const positions = g.input('positions', 'int64', [batch, length]);
    const [cos, sin] = [
      g.input('cos', 'float32', [length, size / 2]),
      g.input('sin', 'float32', [length, size / 2]),
    ];
    const linear = (v: Value, weight: Value) => g.matmul(v, weight, { transB: true });
    const split = (v: Value) => g.transpose(g.reshape(v, [batch, length, heads, size]), [0, 2, 1, 3]);
    const n = g.rmsNorm(w.x, w.norm, 1e-5);
    const [q, k] = [w.query, w.key].map((weight) => split(g.rotary(linear(n, weight), positions, cos, sin)));
    const attention = g.softmax(g.matmul(q!, k!, { transB: true, alpha: 0.5 }));
    const mixed = g.transpose(g.matmul(attention, split(linear(n, w.value))), [0, 2, 1, 3]);
    const middle = g.add(w.x, linear(g.reshape(mixed, [batch, length, width]), w.output));
    const hidden = g.mul(g.silu(linear(middle, w.gate)), linear(middle, w.up));
    return { y: g.add(middle, linear(hidden, w.down)), wrt: asked.map((name) => w[name]) };
  };
}

const next = seeded(5);
const feeds: Record<string, Input> = {
  ...Object.fromEntries(names.map((name) => [name, floats(parameters[name], next)])),
  positions: integers([batch, length], [0, 1, 2, 0, 1, 2]),
  cos: floats([length, size / 2], next),
  sin: floats([length, size / 2], next),
};
const dy = floats(parameters.x, next);

describe('split', () => {
  it.each([
    ['x and every weight', names],
    ['x only', ['x']],
    ['one weight only', ['up']],
    ['the norm and the last weight', ['norm', 'down']],
  ] as [string, Name[]][])(
    'gives the output and the gradients of the one graph: %s',
    async (_name, asked) => {
      const one = new GraphBuilder();
      const { y, wrt } = block(asked)(one);
      one.output('y', y);
      gradients(one, [{ value: y, gradient: one.input('dy', 'float32', y.shape) }], wrt).forEach(
        (gradient, i) => {
          one.output(`d.${asked[i]}`, gradient);
        },
      );
      const { y: expectedOutput, ...expected } = await (await ready(one))({ ...feeds, dy });

      const parts = split(block(asked));
      const forward = await (await ready(parts.forward))(feeds);
      const actual = await (await ready(parts.backward))(backwardFeeds(parts, forward));
      expectClose(forward['y']!.data, expectedOutput!.data);
      expect(Object.keys(actual).sort()).toEqual(Object.keys(expected).sort());
      for (const name of Object.keys(expected)) expectClose(actual[name]!.data, expected[name]!.data);
    },
  );

  it('keeps nothing that backward can compute again at once, and nothing for weights that are not asked for', () => {
    const perToken = (asked: Name[]) =>
      split(block(asked)).residuals.reduce((sum, { shape }) => sum + product(shape), 0) / (batch * length);
    // gate, up, middle, mixed, queries, keys, values, attention (per head and key); not silu, hidden, nor the norm
    const everything = 2 * inner + 5 * width + heads * length;
    expect(perToken(names)).toBe(everything);
    expect(perToken(['x'])).toBe(everything - 2 * width);
    expect(perToken(['down'])).toBe(inner);
  });

  it('reads again only the inputs that backward needs', () => {
    expect(split(block(['down'])).reread).toEqual([]);
    expect(split(block(['output'])).reread.sort()).toEqual(['down', 'gate', 'up']);
  });
});

function backwardFeeds(
  { reread, residuals }: ReturnType<typeof split>,
  forward: Outputs,
): Record<string, Input> {
  const saved = residuals.map(({ name, shape }) => {
    const { data, dims } = forward[`saved.${name}`]!;
    expect(dims).toEqual(shape);
    return [name, { shape, data }] as const;
  });
  return {
    ...Object.fromEntries(saved),
    ...Object.fromEntries(reread.map((name) => [name, feeds[name]!])),
    dy,
  };
}

/** onnxruntime may fuse the one graph otherwise than the two, so the last bits may differ. */
function expectClose(actual: Float32Array, expected: Float32Array): void {
  expect(actual.length).toBe(expected.length);
  expected.forEach((value, i) => {
    expect(Math.abs(actual[i]! - value)).toBeLessThan(1e-5 * (1 + Math.abs(value)));
  });
}
