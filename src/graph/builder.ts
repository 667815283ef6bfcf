// The operators that graphs are built from, with shape and type inference.
import { Graph, type Value } from './graph.ts';
import type { ElementType } from './onnx.ts';
import { broadcast, equalShapes, lengthAt, matmulShape, product, reducedShape } from './shapes.ts';

export interface MatmulOptions {
  /** Swap the last two dimensions of the first factor. */
  transA?: boolean;
  /** Swap the last two dimensions of the second factor. */
  transB?: boolean;
  /** Multiplies the product. */
  alpha?: number;
}

/**
 * The operators. Each method checks shapes and types and returns the new value; axes are counted from 0.
 * @throws Error on shapes that do not fit: a mistake of the caller's, not of a user's.
 */
export class GraphBuilder extends Graph {
  /** Matrix product over the last two dimensions; leading ones broadcast as in NumPy. */
  matmul(a: Value, b: Value, { transA = false, transB = false, alpha = 1 }: MatmulOptions = {}): Value {
    return this.apply('FusedMatMul', [a, b], matmulShape(a.shape, b.shape, transA, transB), {
      domain: 'com.microsoft',
      attributes: {
        transA: { int: Number(transA) },
        transB: { int: Number(transB) },
        alpha: { float: alpha },
      },
    });
  }

  // ---- elementwise, broadcasting as in NumPy

  add(a: Value, b: Value): Value {
    return this.#binary('Add', a, b);
  }
  sub(a: Value, b: Value): Value {
    return this.#binary('Sub', a, b);
  }
  mul(a: Value, b: Value): Value {
    return this.#binary('Mul', a, b);
  }
  div(a: Value, b: Value): Value {
    return this.#binary('Div', a, b);
  }
  max(a: Value, b: Value): Value {
    return this.#binary('Max', a, b);
  }
  min(a: Value, b: Value): Value {
    return this.#binary('Min', a, b);
  }
  neg(x: Value): Value {
    return this.#unary('Neg', x);
  }
  reciprocal(x: Value): Value {
    return this.#unary('Reciprocal', x);
  }
  exp(x: Value): Value {
    return this.#unary('Exp', x);
  }
  log(x: Value): Value {
    return this.#unary('Log', x);
  }
  sqrt(x: Value): Value {
    return this.#unary('Sqrt', x);
  }
  tanh(x: Value): Value {
    return this.#unary('Tanh', x);
  }
  sigmoid(x: Value): Value {
    return this.#unary('Sigmoid', x);
  }
  erf(x: Value): Value {
    return this.#unary('Erf', x);
  }
  relu(x: Value): Value {
    return this.#unary('Relu', x);
  }
  sign(x: Value): Value {
    return this.#unary('Sign', x);
  }

  pow(x: Value, exponent: number): Value {
    return this.apply('Pow', [x, this.scalar(exponent)], x.shape);
  }

  /** x * sigmoid(x) (SiLU, also called swish). */
  silu(x: Value): Value {
    return this.apply('QuickGelu', [x], x.shape, {
      domain: 'com.microsoft',
      attributes: { alpha: { float: 1 } },
    });
  }

  /** GELU (arXiv 1606.08415), exact or in its tanh approximation. */
  gelu(x: Value, approximation: 'none' | 'tanh' = 'none'): Value {
    return this.apply('Gelu', [x], x.shape, { attributes: { approximate: { text: approximation } } });
  }

  /** `a` where the condition (bool) holds, else `b`. */
  where(condition: Value, a: Value, b: Value): Value {
    if (condition.dtype !== 'bool') throw new Error(`where: the condition is ${condition.dtype}, not bool`);
    const shape = broadcast(condition.shape, this.#sameType('Where', a, b));
    return this.apply('Where', [condition, a, b], shape, { dtype: a.dtype });
  }

  /** Has no gradient. */
  cast(x: Value, dtype: ElementType): Value {
    return this.apply('Cast', [x], x.shape, { dtype, attributes: { to: { elementType: dtype } } });
  }

  // ---- shapes

  reshape(x: Value, shape: readonly number[]): Value {
    if (product(shape) !== product(x.shape)) throw new Error(`reshape: [${x.shape}] to [${shape}]`);
    return this.apply('Reshape', [x, this.integers(shape)], shape);
  }

  transpose(x: Value, permutation: readonly number[]): Value {
    if (permutation.length !== x.shape.length || new Set(permutation).size !== permutation.length)
      throw new Error(`transpose: (${permutation}) permutes no [${x.shape}]`);
    const shape = permutation.map((axis) => lengthAt(x.shape, axis));
    return this.apply('Transpose', [x], shape, { attributes: { perm: { ints: permutation } } });
  }

  /** The last two dimensions swapped. */
  swapped(x: Value): Value {
    const axes = x.shape.map((_, axis) => axis);
    return this.transpose(x, [...axes.slice(0, -2), ...axes.slice(-2).reverse()]);
  }

  /** Elements `start` (inclusive) to `end` (exclusive) along an axis. */
  slice(x: Value, axis: number, start: number, end: number): Value {
    if (start < 0 || end <= start || end > lengthAt(x.shape, axis))
      throw new Error(`slice: ${start} to ${end} is not within axis ${axis} of [${x.shape}]`);
    const bounds = [[start], [end], [axis]].map((values) => this.integers(values));
    return this.apply('Slice', [x, ...bounds], x.shape.with(axis, end - start));
  }

  concat(parts: readonly Value[], axis: number): Value {
    const shapes = parts.map(({ shape }) => shape.with(axis, 0));
    const [first, ...others] = shapes as [number[], ...number[][]];
    if (others.some((shape) => !equalShapes(shape, first)))
      throw new Error(
        `concat: ${parts.map(({ shape }) => `[${shape}]`).join(', ')} differ beside axis ${axis}`,
      );
    const length = parts.reduce((sum, { shape }) => sum + lengthAt(shape, axis), 0);
    return this.apply('Concat', parts, first.with(axis, length), { attributes: { axis: { int: axis } } });
  }

  expand(x: Value, shape: readonly number[]): Value {
    if (!equalShapes(broadcast(x.shape, shape), shape))
      throw new Error(`expand: [${x.shape}] does not broadcast to [${shape}]`);
    return this.apply('Expand', [x, this.integers(shape)], shape);
  }

  /** A tensor of zeros. */
  zeros(shape: readonly number[]): Value {
    return this.expand(this.scalar(0), shape);
  }

  // ---- sums and normalisations

  reduceSum(x: Value, axes: readonly number[], keepDims = true): Value {
    return this.apply('ReduceSum', [x, this.integers(axes)], reducedShape(x.shape, axes, keepDims), {
      attributes: { keepdims: { int: Number(keepDims) } },
    });
  }

  /** The greatest along the axes; without a gradient. */
  reduceMax(x: Value, axes: readonly number[], keepDims = true): Value {
    return this.apply('ReduceMax', [x, this.integers(axes)], reducedShape(x.shape, axes, keepDims), {
      attributes: { keepdims: { int: Number(keepDims) } },
    });
  }

  /** The index of the greatest element over the last dimension, int64 [..., 1]; ties go to the first. Has no gradient. */
  argMax(x: Value): Value {
    return this.apply('ArgMax', [x], x.shape.with(-1, 1), {
      dtype: 'int64',
      attributes: { axis: { int: -1 }, keepdims: { int: 1 } },
    });
  }

  reduceMean(x: Value, axes: readonly number[], keepDims = true): Value {
    const count = product(axes.map((axis) => lengthAt(x.shape, axis)));
    return this.mul(this.reduceSum(x, axes, keepDims), this.scalar(1 / count));
  }

  /** Over the last dimension. */
  softmax(x: Value): Value {
    return this.apply('Softmax', [x], x.shape, { attributes: { axis: { int: -1 } } });
  }

  /** Over the last dimension. */
  logSoftmax(x: Value): Value {
    return this.apply('LogSoftmax', [x], x.shape, { attributes: { axis: { int: -1 } } });
  }

  /** x / sqrt(mean(x^2) + epsilon) * weight over the last dimension (RMSNorm, arXiv 1910.07467). */
  rmsNorm(x: Value, weight: Value, epsilon: number): Value {
    return this.#norm('SimplifiedLayerNormalization', [x, weight], epsilon, 1);
  }

  /** (x - mean) / sqrt(variance + epsilon) * weight + bias over the last dimension (arXiv 1607.06450). */
  layerNorm(x: Value, weight: Value, bias: Value, epsilon: number): Value {
    return this.#norm('LayerNormalization', [x, weight, bias], epsilon, 2);
  }

  // ---- attention

  /**
   * Causal attention (arXiv 1706.03762) with grouped queries (arXiv 2305.13245) by one operator, which walks over keys and values in
   * tiles (arXiv 2205.14135): without a cap no [T, T] scores are ever in memory. Of the CPU provider; has no gradient.
   * @param queries [B, T, heads * size]
   * @param keys and values: [B, T, groups * size]
   * @param bias added to the scaled and capped scores, [B, 1 or heads, T, T]
   */
  groupQueryAttention(
    [queries, keys, values]: readonly [queries: Value, keys: Value, values: Value],
    bias: Value,
    { size, scale, cap = 0 }: { size: number; scale: number; cap?: number | undefined },
  ): Value {
    const [batch, length, width] = queries.shape as [number, number, number];
    const [heads, groups] = [width / size, (keys.shape.at(-1) as number) / size];
    if (!equalShapes(bias.shape, [batch, bias.shape[1] === 1 ? 1 : heads, length, length]))
      throw new Error(`groupQueryAttention: [${bias.shape}] does not fit [${queries.shape}]`);
    const none: Value = { name: '', dtype: 'float32', shape: [] };
    const lengths = this.smallIntegers(new Array<number>(batch).fill(length - 1));
    const past = [batch, groups, length, size];
    const inputs = [queries, keys, values, none, none, lengths, this.smallIntegers([length])];
    return this.applied('GroupQueryAttention', [...inputs, none, none, none, bias], queries.shape, {
      domain: 'com.microsoft',
      attributes: {
        num_heads: { int: heads },
        kv_num_heads: { int: groups },
        scale: { float: scale },
        softcap: { float: cap },
      },
      more: [past, past],
    })[0];
  }

  // ---- positions and indices

  /**
   * Rotary position embedding (arXiv 2104.09864) of heads that lie side by side, halves rotated together.
   * @param x [B, T, heads * size]
   * @param positions int64 [B, T], rows of the tables
   * @param cos and sin: [positions, rotated / 2]; where fewer than a head's dimensions are rotated, its first are
   * @param size of a head
   */
  rotary(x: Value, positions: Value, cos: Value, sin: Value, size = 2 * lengthAt(cos.shape, 1)): Value {
    const rotated = 2 * lengthAt(cos.shape, 1);
    const width = x.shape.at(-1) as number;
    if (!equalShapes(cos.shape, sin.shape) || rotated > size || width % size !== 0)
      throw new Error(`rotary: [${x.shape}], cos [${cos.shape}] and sin [${sin.shape}] do not fit`);
    const part = { num_heads: { int: width / size }, rotary_embedding_dim: { int: rotated } };
    return this.apply('RotaryEmbedding', [x, positions, cos, sin], x.shape, {
      domain: 'com.microsoft',
      attributes: { interleaved: { int: 0 }, ...(rotated < size ? part : {}) },
    });
  }

  /** Ones at the given indices along a new last dimension of length `depth`: int64 [n] gives float32 [n, depth]. */
  oneHot(indices: Value, depth: number): Value {
    const inputs = [indices, this.integers([depth]), this.floats([0, 1])];
    return this.apply('OneHot', inputs, [...indices.shape, depth], { dtype: 'float32' });
  }

  /** Entries of x along an axis: the indices' shape takes that axis' place. */
  gather(x: Value, indices: Value, axis: number): Value {
    lengthAt(x.shape, axis);
    const shape = x.shape.toSpliced(axis, 1, ...indices.shape);
    return this.apply('Gather', [x, indices], shape, { attributes: { axis: { int: axis } } });
  }

  /** For each index along the last dimension its element: [..., N] and int64 [..., M] give [..., M]. */
  gatherElements(x: Value, indices: Value): Value {
    if (!equalShapes(x.shape.slice(0, -1), indices.shape.slice(0, -1)))
      throw new Error(`gatherElements: [${x.shape}] and [${indices.shape}] differ before the last dimension`);
    return this.apply('GatherElements', [x, indices], indices.shape, { attributes: { axis: { int: -1 } } });
  }

  /** Zeros of a shape to which each update is added at its index along an axis; indices and updates have one shape. */
  scatterSum(shape: readonly number[], indices: Value, updates: Value, axis: number): Value {
    return this.apply('ScatterElements', [this.zeros(shape), indices, updates], shape, {
      attributes: { axis: { int: axis }, reduction: { text: 'add' } },
    });
  }

  #unary(operator: string, x: Value): Value {
    return this.apply(operator, [x], x.shape);
  }

  #binary(operator: string, a: Value, b: Value): Value {
    return this.apply(operator, [a, b], this.#sameType(operator, a, b));
  }

  #sameType(operator: string, a: Value, b: Value): number[] {
    if (a.dtype !== b.dtype) throw new Error(`${operator}: ${a.dtype} and ${b.dtype} differ`);
    return broadcast(a.shape, b.shape);
  }

  /** A normalisation over the last dimension; its further outputs are statistics for the gradient, [..., 1] each. */
  #norm(operator: string, inputs: readonly [Value, ...Value[]], epsilon: number, statistics: number): Value {
    const [x, ...parameters] = inputs;
    for (const { shape } of parameters)
      if (!equalShapes(shape, x.shape.slice(-1)))
        throw new Error(`${operator}: [${shape}] does not fit [${x.shape}]`);
    return this.apply(operator, inputs, x.shape, {
      attributes: { axis: { int: -1 }, epsilon: { float: epsilon } },
      more: Array.from({ length: statistics }, () => x.shape.with(-1, 1)),
    });
  }
}
