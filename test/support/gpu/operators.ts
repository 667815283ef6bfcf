// Every operator of the graph builder on a provider beside the CPU, all outputs: a line of JSON each. node operators.ts PROVIDER DIRECTORY
import { join } from 'node:path';
import { Engine, type Tensor } from '../../../src/engine/index.ts';
import { GraphBuilder, product, type Value } from '../../../src/graph/index.ts';
import { operatorsOnCpu } from './traces.ts';

interface Case {
  readonly inputs: Readonly<Record<string, Tensor>>;
  build(g: GraphBuilder, values: Readonly<Record<string, Value>>): Value;
}

const floats = (shape: readonly number[], scale = 1, lift = 0): Tensor => ({
  dtype: 'float32',
  shape,
  data: Float32Array.from({ length: product(shape) }, (_, i) => lift + scale * Math.sin(1.7 * i + 0.3)),
});
const positive = (shape: readonly number[]): Tensor => floats(shape, 1, 1.5);
const integers = (shape: readonly number[], values: readonly number[]): Tensor => ({
  dtype: 'int64',
  shape,
  data: BigInt64Array.from(values, BigInt),
});

const one = (x: Tensor, build: (g: GraphBuilder, x: Value) => Value): Case => ({
  inputs: { x },
  build: (g, { x }) => build(g, x as Value),
});
const two = (a: Tensor, b: Tensor, build: (g: GraphBuilder, a: Value, b: Value) => Value): Case => ({
  inputs: { a, b },
  build: (g, { a, b }) => build(g, a as Value, b as Value),
});

const x = floats([2, 3, 4]);
const indices = integers([2, 3], [0, 4, 2, 1, 1, 3]);
const turned = {
  positions: integers([2, 3], [0, 1, 2, 0, 1, 2]),
  cos: floats([5, 2]),
  sin: floats([5, 2], 0.5),
};
const rotated = (width: number, size?: number): Case => ({
  inputs: { x: floats([2, 3, width]), ...turned },
  build: (g, v) => g.rotary(v['x']!, v['positions']!, v['cos']!, v['sin']!, size),
});
const binary = (name: 'add' | 'sub' | 'mul' | 'div' | 'max' | 'min') =>
  two(x, positive([3, 4]), (g, a, b) => g[name](a, b));
const unary = (name: 'neg' | 'exp' | 'tanh' | 'sigmoid' | 'erf' | 'relu' | 'sign' | 'silu') =>
  one(floats([2, 3, 4], 3), (g, x) => g[name](x));

const cases: Readonly<Record<string, Case>> = {
  ...{ add: binary('add'), sub: binary('sub'), mul: binary('mul'), div: binary('div') },
  ...{ max: binary('max'), min: binary('min') },
  ...{ neg: unary('neg'), exp: unary('exp'), tanh: unary('tanh'), sigmoid: unary('sigmoid') },
  ...{ erf: unary('erf'), relu: unary('relu'), sign: unary('sign'), silu: unary('silu') },
  'sign of zeros': one(integers([3], [0, 1, 0]), (g, x) => g.sign(g.mul(g.oneHot(x, 2), g.scalar(-2)))),
  reciprocal: one(positive([2, 3]), (g, x) => g.reciprocal(x)),
  log: one(positive([2, 3]), (g, x) => g.log(x)),
  sqrt: one(positive([2, 3]), (g, x) => g.sqrt(x)),
  pow: one(positive([2, 3]), (g, x) => g.pow(x, -1.5)),
  gelu: one(x, (g, x) => g.gelu(x)),
  'gelu by tanh': one(x, (g, x) => g.gelu(x, 'tanh')),
  where: two(x, floats([3, 4], 2), (g, a, b) => g.where(g.cast(g.relu(a), 'bool'), a, b)),
  reshape: one(x, (g, x) => g.reshape(x, [6, 4])),
  transpose: one(x, (g, x) => g.transpose(x, [2, 0, 1])),
  slice: one(floats([2, 5, 4]), (g, x) => g.slice(x, 1, 1, 4)),
  concat: two(x, floats([2, 1, 4], 3), (g, a, b) => g.concat([g.zeros([2, 2, 4]), a, b], 1)),
  expand: one(floats([2, 1, 4]), (g, x) => g.expand(x, [2, 3, 4])),
  'sum of some axes': one(x, (g, x) => g.reduceSum(x, [0, 1])),
  'sum without its axis': one(x, (g, x) => g.reduceSum(x, [2], false)),
  'sum of all': one(x, (g, x) => g.reduceSum(x, [0, 1, 2])),
  'greatest of an axis': one(x, (g, x) => g.reduceMax(x, [2])),
  mean: one(x, (g, x) => g.reduceMean(x, [2])),
  softmax: one(floats([2, 3, 4], 3), (g, x) => g.softmax(x)),
  'log of softmax': one(floats([2, 3, 4], 30), (g, x) => g.logSoftmax(x)),
  'index of the greatest': one(x, (g, x) => g.argMax(x)),
  'root mean square norm': two(floats([2, 3, 8]), floats([8], 0.5, 1), (g, x, w) => g.rmsNorm(x, w, 1e-5)),
  'layer norm': {
    inputs: { x: floats([2, 3, 8]), w: floats([8], 0.5, 1), b: floats([8], 0.5) },
    build: (g, v) => g.layerNorm(v['x']!, v['w']!, v['b']!, 1e-5),
  },
  rotary: rotated(8),
  'rotary of a part': rotated(16, 8),
  'one hot': one(integers([3], [0, 2, 1]), (g, x) => g.oneHot(x, 4)),
  'gather rows': two(floats([5, 4]), indices, (g, x, i) => g.gather(x, i, 0)),
  'gather columns': two(floats([2, 5]), indices, (g, x, i) => g.gather(x, i, 1)),
  'gather elements': two(floats([2, 5]), indices, (g, x, i) => g.gatherElements(x, i)),
  'scatter and add': two(floats([2, 3]), indices, (g, x, i) => g.scatterSum([2, 5], i, x, 1)),
  product: two(x, floats([4, 5]), (g, a, b) => g.matmul(a, b)),
  'product, left transposed': two(floats([2, 4, 3]), floats([4, 5]), (g, a, b) =>
    g.matmul(a, b, { transA: true }),
  ),
  'product, right transposed': two(x, floats([5, 4]), (g, a, b) => g.matmul(a, b, { transB: true })),
  'product, both transposed, scaled': two(floats([2, 4, 3]), floats([5, 4]), (g, a, b) =>
    g.matmul(a, b, { transA: true, transB: true, alpha: 0.3 }),
  ),
  'product that broadcasts': two(floats([2, 3, 2, 4, 5]), floats([2, 3, 1, 6, 5]), (g, a, b) =>
    g.matmul(a, b, { transB: true, alpha: 0.3 }),
  ),
};

const [provider, directory] = process.argv.slice(2) as ['webgpu', string];
const cpu = await Engine.create({ provider: 'cpu', threads: 1 });
for (const [i, [name, { inputs, build }]] of Object.entries(cases).entries()) {
  let operators: string[] = [];
  const graph = () => {
    const g = new GraphBuilder();
    g.output('y', build(g, valuesOf(g, inputs)));
    // Statistics that gradients read.
    const last = g.operations.at(-1);
    for (const [n, other] of (last?.outputs ?? []).slice(1).entries()) g.output(`y${n + 1}`, other);
    operators = g.operations.map(({ operator }) => operator);
    return g;
  };
  const trace = join(directory, `trace-${i}-`);
  const engine = await Engine.create({ provider, threads: 1, trace });
  const right = await (await cpu.session(name, graph)).run(inputs);
  const found = await (await engine.session(name, graph)).run(inputs);
  await engine.dispose();
  const difference = Math.max(...Object.keys(right).map((key) => apart(right[key]!, found[key]!)));
  console.log(JSON.stringify({ name, operators, difference, onCpu: operatorsOnCpu(`${trace}*.json`) }));
}
// The device's own threads would keep the process.
process.exit();

function valuesOf(g: GraphBuilder, inputs: Case['inputs']): Record<string, Value> {
  return Object.fromEntries(
    Object.entries(inputs).map(([name, { dtype, shape }]) => [name, g.input(name, dtype, shape)]),
  );
}

/** The largest difference of two tensors, relative to their largest value; infinite where one is no number. */
function apart(right: Tensor, found: Tensor): number {
  const [a, b] = [right, found].map(({ data }) => Array.from(data, Number)) as [number[], number[]];
  const largest = Math.max(...a.map(Math.abs), 1e-30);
  const difference = Math.max(...a.map((value, i) => Math.abs(value - (b[i] as number)))) / largest;
  return Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference;
}
