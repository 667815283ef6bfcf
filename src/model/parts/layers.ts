// Layers that families share: linear maps, norms, soft caps and fused projections.
import type { GraphBuilder, Value } from '../../graph/index.ts';
import { withInserted } from './inserted.ts';
import type { Inputs } from './slots.ts';

/** x W^T + b over the last dimension, the bias where the block has one, and what an adapter has inserted at the map. */
export function linear(g: GraphBuilder, x: Value, w: Inputs, slot: string): Value {
  return mapped(g, x, w, slot, (weight) => g.matmul(x, weight, { transB: true }));
}

/** The same with a weight that lies [from, to]. */
export function transposed(g: GraphBuilder, x: Value, w: Inputs, slot: string): Value {
  return mapped(g, x, w, slot, (weight) => g.matmul(x, weight));
}

/** Layer normalisation; a norm that was published without weights has ones, one without a bias zeros. */
export function layerNorm(g: GraphBuilder, x: Value, w: Inputs, slot: string, epsilon: number): Value {
  const all = (value: number) => g.floats(new Array<number>(x.shape.at(-1) as number).fill(value));
  return g.layerNorm(x, w[slot] ?? all(1), w[`${slot}Bias`] ?? all(0), epsilon);
}

/** The normalisation of each head of [B, T, heads * size] by one weight of a head's size. */
export function perHead(g: GraphBuilder, x: Value, size: number, norm: (heads: Value) => Value): Value {
  const [batch, length, width] = x.shape as [number, number, number];
  return g.reshape(norm(g.reshape(x, [batch, length, width / size, size])), x.shape);
}

/** cap * tanh(x / cap): keeps x between -cap and cap; x itself without a cap. */
export function softCap(g: GraphBuilder, x: Value, cap: number | undefined): Value {
  return cap === undefined ? x : g.mul(g.tanh(g.mul(x, g.scalar(1 / cap))), g.scalar(cap));
}

/** Parts of the last dimension, one after the other. */
export function parts(g: GraphBuilder, x: Value, sizes: readonly number[]): Value[] {
  const axis = x.shape.length - 1;
  let start = 0;
  return sizes.map((size) => {
    start += size;
    return g.slice(x, axis, start - size, start);
  });
}

/** Queries, keys and values, for heads of a size, out of one projection that holds them head by head: [B, T, heads * 3 * size]. */
export function headParts(
  g: GraphBuilder,
  fused: Value,
  size: number,
): [queries: Value, keys: Value, values: Value] {
  const [batch, length, width] = fused.shape as [number, number, number];
  const heads = width / (3 * size);
  const byHead = g.reshape(fused, [batch, length, heads, 3, size]);
  const part = (i: number) => g.reshape(g.slice(byHead, 3, i, i + 1), [batch, length, heads * size]);
  return [part(0), part(1), part(2)];
}

/** @param product x with the map's weight, where it is not held as factors */
function mapped(
  g: GraphBuilder,
  x: Value,
  w: Inputs,
  slot: string,
  product: (weight: Value) => Value,
): Value {
  const weight = w[slot];
  const y = weight === undefined ? byFactors(g, x, w, slot) : product(weight);
  return withInserted(g, x, plusBias(g, y, w, slot), w, slot);
}

function byFactors(g: GraphBuilder, x: Value, w: Inputs, slot: string): Value {
  const narrow = g.matmul(x, w[`${slot}Right`]!, { transB: true });
  return g.matmul(narrow, w[`${slot}Left`]!, { transB: true });
}

function plusBias(g: GraphBuilder, product: Value, w: Inputs, slot: string): Value {
  const bias = w[`${slot}Bias`];
  return bias === undefined ? product : g.add(product, bias);
}
