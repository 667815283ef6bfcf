import type { GraphBuilder, Value } from '../../graph/index.ts';

/** A block's weights by slot, as the graph takes them. */
export type Inputs = Readonly<Record<string, Value>>;

/** x W^T + b over the last dimension; the bias where the block has one. */
export function linear(g: GraphBuilder, x: Value, w: Inputs, slot: string): Value {
  return plusBias(g, g.matmul(x, w[slot]!, { transB: true }), w, slot);
}

/** x W + b: a linear map whose weight lies [from, to]. */
export function transposed(g: GraphBuilder, x: Value, w: Inputs, slot: string): Value {
  return plusBias(g, g.matmul(x, w[slot]!), w, slot);
}

export function layerNorm(g: GraphBuilder, x: Value, w: Inputs, slot: string, epsilon: number): Value {
  return g.layerNorm(x, w[slot]!, w[`${slot}Bias`]!, epsilon);
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

function plusBias(g: GraphBuilder, product: Value, w: Inputs, slot: string): Value {
  const bias = w[`${slot}Bias`];
  return bias === undefined ? product : g.add(product, bias);
}
