import { type Attribute, type ElementType, encodeModel, type Initializer } from './onnx.ts';

/** A tensor of the graph: its shape is known when the graph is built. */
export interface Value {
  readonly name: string;
  readonly dtype: ElementType;
  readonly shape: readonly number[];
}

/** One operator applied; gradient rules read it. */
export interface Operation {
  readonly operator: string;
  readonly domain: '' | 'com.microsoft';
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly attributes: Readonly<Record<string, Attribute>>;
}

export interface MatmulOptions {
  /** Swap the last two dimensions of the first factor. */
  transA?: boolean;
  /** Swap the last two dimensions of the second factor. */
  transB?: boolean;
  /** Multiplies the product. */
  alpha?: number;
}

/**
 * Builds an ONNX graph whose shapes are all known. Every method checks shapes and returns the new value.
 * @throws Error on shapes that do not fit: a mistake of the caller's, not of a user's.
 */
export class GraphBuilder {
  readonly operations: Operation[] = [];
  readonly inputs: Value[] = [];
  readonly outputs: { name: string; value: Value }[] = [];
  readonly initializers: Initializer[] = [];
  #count = 0;

  // ---- what a graph is given and gives

  input(name: string, dtype: ElementType, shape: readonly number[]): Value {
    const value = { name, dtype, shape };
    this.inputs.push(value);
    return value;
  }

  /** A named tensor stored in the graph. */
  initializer(name: string, data: Float32Array, shape: readonly number[]): Value {
    const initializer = { name, dtype: 'float32' as const, shape, data };
    this.initializers.push(initializer);
    return initializer;
  }

  /** A float32 scalar stored in the graph. */
  scalar(value: number): Value {
    return this.initializer(this.#name('scalar'), Float32Array.of(value), []);
  }

  /** int64 numbers stored in the graph, as ONNX takes shapes and axes. */
  integers(values: readonly number[]): Value {
    const initializer: Initializer = {
      name: this.#name('integers'),
      dtype: 'int64',
      shape: [values.length],
      data: BigInt64Array.from(values, BigInt),
    };
    this.initializers.push(initializer);
    return initializer;
  }

  output(name: string, value: Value): void {
    this.outputs.push({ name, value });
  }

  // ---- products

  /** Matrix product over the last two dimensions; leading ones broadcast as in NumPy. */
  matmul(a: Value, b: Value, options: MatmulOptions = {}): Value {
    const { transA = false, transB = false, alpha = 1 } = options;
    const [rows, inner] = lastTwo(a, transA);
    const [innerB, columns] = lastTwo(b, transB);
    if (inner !== innerB)
      throw new Error(`matmul: [${a.shape}] and [${b.shape}] do not fit (${JSON.stringify(options)})`);
    const shape = [...broadcast(a.shape.slice(0, -2), b.shape.slice(0, -2)), rows, columns];
    return this.apply('FusedMatMul', [a, b], shape, {
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
  neg(x: Value): Value {
    return this.#unary('Neg', x);
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

  // ---- shapes

  reshape(x: Value, shape: readonly number[]): Value {
    if (product(shape) !== product(x.shape)) throw new Error(`reshape: [${x.shape}] to [${shape}]`);
    return this.apply('Reshape', [x, this.integers(shape)], shape);
  }

  transpose(x: Value, permutation: readonly number[]): Value {
    const shape = permutation.map((axis) => x.shape[axis] as number);
    return this.apply('Transpose', [x], shape, { attributes: { perm: { ints: permutation } } });
  }

  /** Elements `start` (inclusive) to `end` (exclusive) along an axis. */
  slice(x: Value, axis: number, start: number, end: number): Value {
    const shape = x.shape.with(axis, end - start);
    return this.apply(
      'Slice',
      [x, this.integers([start]), this.integers([end]), this.integers([axis])],
      shape,
    );
  }

  concat(parts: readonly Value[], axis: number): Value {
    const length = parts.reduce((sum, part) => sum + (part.shape[axis] as number), 0);
    const shape = (parts[0] as Value).shape.with(axis, length);
    return this.apply('Concat', parts, shape, { attributes: { axis: { int: axis } } });
  }

  expand(x: Value, shape: readonly number[]): Value {
    return this.apply('Expand', [x, this.integers(shape)], shape);
  }

  /** A tensor of zeros. */
  zeros(shape: readonly number[]): Value {
    return this.expand(this.scalar(0), shape);
  }

  // ---- sums and normalisations

  reduceSum(x: Value, axes: readonly number[], keepDims = true): Value {
    return this.apply('ReduceSum', [x, this.integers(axes)], reduced(x.shape, axes, keepDims), {
      attributes: { keepdims: { int: Number(keepDims) } },
    });
  }

  reduceMean(x: Value, axes: readonly number[], keepDims = true): Value {
    const count = product(axes.map((axis) => x.shape[axis] as number));
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
    const scale: Value = { name: this.#name('inverse_rms'), dtype: 'float32', shape: x.shape.with(-1, 1) };
    const y: Value = { name: this.#name('rms_norm'), dtype: 'float32', shape: x.shape };
    this.operations.push({
      operator: 'SimplifiedLayerNormalization',
      domain: '',
      inputs: [x, weight],
      outputs: [y, scale],
      attributes: { axis: { int: -1 }, epsilon: { float: epsilon } },
    });
    return y;
  }

  /** x * sigmoid(x) (SiLU, also called swish). */
  silu(x: Value): Value {
    return this.apply('QuickGelu', [x], x.shape, {
      domain: 'com.microsoft',
      attributes: { alpha: { float: 1 } },
    });
  }

  /**
   * Rotary position embedding (arXiv 2104.09864) of heads that lie side by side, halves rotated together.
   * @param x [B, T, heads * size]
   * @param positions int64 [B, T], rows of the tables
   * @param cos and sin: [positions, size / 2]
   */
  rotary(x: Value, positions: Value, cos: Value, sin: Value): Value {
    return this.apply('RotaryEmbedding', [x, positions, cos, sin], x.shape, {
      domain: 'com.microsoft',
      attributes: { interleaved: { int: 0 } },
    });
  }

  /** Ones at the given indices along a new last dimension of length `depth`: int64 [n] gives float32 [n, depth]. */
  oneHot(indices: Value, depth: number): Value {
    const values = this.initializer(this.#name('off_on'), Float32Array.of(0, 1), [2]);
    return this.apply('OneHot', [indices, this.integers([depth]), values], [...indices.shape, depth], {
      dtype: 'float32',
    });
  }

  /** For each index along the last dimension its element: [..., N] and int64 [..., M] give [..., M]. */
  gatherElements(x: Value, indices: Value): Value {
    return this.apply('GatherElements', [x, indices], indices.shape, { attributes: { axis: { int: -1 } } });
  }

  // ---- the graph as a whole

  /** Adds one operator with one output. */
  apply(
    operator: string,
    inputs: readonly Value[],
    shape: readonly number[],
    {
      domain = '',
      attributes = {},
      dtype = (inputs[0] as Value).dtype,
    }: Partial<Pick<Operation, 'domain' | 'attributes'> & Pick<Value, 'dtype'>> = {},
  ): Value {
    const output: Value = { name: this.#name(operator), dtype, shape };
    this.operations.push({ operator, domain, inputs, outputs: [output], attributes });
    return output;
  }

  /** The graph as an ONNX ModelProto, operators in the order in which they were added. */
  serialize(): Uint8Array {
    const renamed = this.outputs.map(({ name, value }) => ({ name, dtype: value.dtype, shape: value.shape }));
    return encodeModel({
      nodes: [
        ...this.operations.map((operation) => ({
          ...operation,
          inputs: operation.inputs.map((value) => value.name),
          outputs: operation.outputs.map((value) => value.name),
        })),
        // An output has the caller's name: a copy that onnxruntime folds away.
        ...this.outputs.map(({ name, value }) => ({
          operator: 'Identity',
          domain: '' as const,
          inputs: [value.name],
          outputs: [name],
          attributes: {},
        })),
      ],
      initializers: this.initializers,
      inputs: this.inputs,
      outputs: renamed,
    });
  }

  #name(operator: string): string {
    return `${operator}_${this.#count++}`;
  }

  #unary(operator: string, x: Value): Value {
    return this.apply(operator, [x], x.shape);
  }

  #binary(operator: string, a: Value, b: Value): Value {
    return this.apply(operator, [a, b], broadcast(a.shape, b.shape));
  }
}

/** NumPy's broadcasting of two shapes. */
export function broadcast(a: readonly number[], b: readonly number[]): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const x = a[axis - rank + a.length] ?? 1;
    const y = b[axis - rank + b.length] ?? 1;
    if (x !== y && x !== 1 && y !== 1) throw new Error(`shapes [${a}] and [${b}] do not broadcast`);
    return x === 1 ? y : x;
  });
}

export const product = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

function lastTwo(x: Value, swapped: boolean): [number, number] {
  const [rows, columns] = x.shape.slice(-2);
  if (rows === undefined || columns === undefined)
    throw new Error(`matmul: [${x.shape}] has no two dimensions`);
  return swapped ? [columns, rows] : [rows, columns];
}

function reduced(shape: readonly number[], axes: readonly number[], keepDims: boolean): number[] {
  return keepDims
    ? shape.map((length, axis) => (axes.includes(axis) ? 1 : length))
    : shape.filter((_, axis) => !axes.includes(axis));
}
