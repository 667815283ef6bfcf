// Products with halves as each provider computes them, with the CPU in its place, beside float64.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { decodeFloats, encodeFloats } from '../../../src/checkpoint/index.ts';
import { Engine, type EngineOptions, type Tensor } from '../../../src/engine/index.ts';
import { GraphBuilder, gradients, type Half, type Value } from '../../../src/graph/index.ts';
import { seeded } from '../../support/unit/graph/session.ts';

const [rows, from, to] = [5, 700, 6];
const random = seeded(7);
const floats = (count: number, size = 1) => Float32Array.from({ length: count }, () => size * random());

const codes = { float16: 'F16', bfloat16: 'BF16' } as const;
const rounded = (values: Float32Array, half: Half) =>
  decodeFloats(encodeFloats(values, codes[half]), codes[half]);
const bits = (values: Float32Array, half: Half) =>
  new Uint16Array(encodeFloats(values, codes[half]).buffer as ArrayBuffer);

/** x W^T and what dL/dy = dy makes of x and of a trained weight V [from, to] beside W. */
function products(): GraphBuilder {
  const g = new GraphBuilder();
  const x = g.input('x', 'float32', [rows, from]);
  const [w, v] = [g.input('w', 'float32', [to, from]), g.input('v', 'float32', [from, to])];
  const frozen = g.matmul(x, w, { transB: true });
  const trained = g.matmul(x, v);
  g.output('y', frozen);
  g.output('z', trained);
  const gradient = g.input('dy', 'float32', [rows, to]);
  const [dx] = gradients(g, [{ value: frozen, gradient }], [x]);
  const [dv] = gradients(g, [{ value: trained, gradient }], [v]);
  g.output('dx', dx as Value);
  g.output('dv', dv as Value);
  return g;
}

/** A B in float64, a factor transposed where it is asked for. */
function product(
  a: Float32Array,
  b: Float32Array,
  [m, k, n]: readonly [number, number, number],
  { transA = false, transB = false } = {},
): Float64Array {
  return Float64Array.from({ length: m * n }, (_, at) => {
    const [i, j] = [Math.floor(at / n), at % n];
    let sum = 0;
    for (let t = 0; t < k; t++)
      sum += (transA ? a[t * m + i]! : a[i * k + t]!) * (transB ? b[j * k + t]! : b[t * n + j]!);
    return sum;
  });
}

/** The largest difference, relative to the largest number of each row. */
function difference(found: Tensor, right: Float64Array): number {
  const width = found.shape.at(-1) as number;
  let most = 0;
  for (let start = 0; start < right.length; start += width) {
    const row = right.subarray(start, start + width);
    const size = Math.max(...row.map(Math.abs));
    row.forEach((value, i) => {
      const one = Math.abs((found.data[start + i] as number) - value) / size;
      if (!(one <= most)) most = one;
    });
  }
  return most;
}

const w = floats(to * from, 0.05);
const v = floats(from * to, 0.05);

let engine: Engine;
afterEach(() => engine.dispose());

/** Runs the graph; the frozen weight goes there as the engine takes it. */
async function run(options: Omit<EngineOptions, 'threads'>, x: Float32Array, dy: Float32Array) {
  engine = await Engine.create({ ...options, threads: 1 });
  const type = engine.keptAs([to, from]);
  const frozen: Tensor =
    type === 'float32'
      ? { dtype: type, shape: [to, from], data: w }
      : { dtype: type, shape: [to, from], data: bits(w, type) };
  const session = await engine.session('products', products, {
    name: 'weights',
    inputs: new Set(['w']),
    read: () => ({ w: frozen }),
  });
  return await session.run({
    x: { dtype: 'float32', shape: [rows, from], data: x },
    v: { dtype: 'float32', shape: [from, to], data: v },
    dy: { dtype: 'float32', shape: [rows, to], data: dy },
    ...(engine.storesWeights ? {} : { w: frozen }),
  });
}

describe.each(['float16', 'bfloat16'] as const)('%s, as CUDA computes it', (precision) => {
  // Half a unit in the last place of the product, and what float32 adds up to.
  const unit = precision === 'float16' ? 2 ** -11 : 2 ** -8;
  const half = (values: Float32Array) => rounded(values, precision);
  let found: Record<string, Tensor>;
  const [x, dy] = [floats(rows * from), floats(rows * to)];
  beforeEach(async () => {
    found = await run({ provider: 'cpu', standsFor: 'cuda', precision }, x, dy);
  });

  it('rounds both factors and the product with a frozen weight, there and back, and adds up in float32', () => {
    const y = product(half(x), half(w), [rows, from, to], { transB: true });
    const dx = product(half(dy), half(w), [rows, to, from]);
    // float16's rows are multiples of their largest number before they are rounded.
    const scaling = precision === 'float16' ? unit : 0;
    expect(difference(found['y']!, y)).toBeLessThan(unit + scaling + 1e-5);
    expect(difference(found['dx']!, dx)).toBeLessThan(unit + scaling + 1e-5);
    expect(difference(found['y']!, product(x, w, [rows, from, to], { transB: true }))).toBeGreaterThan(
      unit / 10,
    );
  });

  it('leaves what trains in float32', () => {
    expect(difference(found['z']!, product(x, v, [rows, from, to]))).toBeLessThan(1e-5);
    const dv = product(x, dy, [from, rows, to], { transA: true });
    expect(difference(found['dv']!, dv)).toBeLessThan(1e-5);
  });
});

it('float16 neither overflows nor loses what is small: each row is a multiple of its largest number', async () => {
  const sizes = [1e6, 1e-9, 1, 1e-20, 0];
  const sized = (values: Float32Array, width: number) =>
    values.map((value, i) => value * sizes[Math.floor(i / width)]!);
  const [x, dy] = [sized(floats(rows * from), from), sized(floats(rows * to), to)];
  const found = await run({ provider: 'cpu', standsFor: 'cuda', precision: 'float16' }, x, dy);
  const y = product(x, w, [rows, from, to], { transB: true });
  const dx = product(dy, w, [rows, to, from]);
  const zeros = (values: Float64Array, width: number) => values.subarray(4 * width);
  expect(zeros(y, to).every((value) => value === 0)).toBe(true);
  for (const [name, right, width] of [
    ['y', y, to],
    ['dx', dx, from],
  ] as const) {
    const { data } = found[name]!;
    expect(data.subarray(4 * width).every((value) => value === 0)).toBe(true);
    const four = { ...found[name]!, data: (data as Float32Array).subarray(0, 4 * width) };
    expect(difference(four, right.subarray(0, 4 * width))).toBeLessThan(3e-3);
  }
});

it('float16 as webgpu computes it: the weight alone is rounded', async () => {
  const [x, dy] = [floats(rows * from), floats(rows * to)];
  const found = await run({ provider: 'cpu', precision: 'float16' }, x, dy);
  const half = rounded(w, 'float16');
  expect(difference(found['y']!, product(x, half, [rows, from, to], { transB: true }))).toBeLessThan(1e-5);
  expect(difference(found['dx']!, product(dy, half, [rows, to, from]))).toBeLessThan(1e-5);
});

it('float32 is what it was, wherever the weight lies', async () => {
  const [x, dy] = [floats(rows * from), floats(rows * to)];
  const given = await run({ provider: 'cpu' }, x, dy);
  await engine.dispose();
  const stored = await run({ provider: 'cpu', standsFor: 'cuda' }, x, dy);
  for (const name of ['y', 'z', 'dx', 'dv'])
    expect(difference(stored[name]!, Float64Array.from(given[name]!.data as Float32Array))).toBeLessThan(
      1e-6,
    );
});
