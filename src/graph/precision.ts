// Half precision of a graph that is built in float32: some of its inputs are halves, and the products with them are theirs.
import type { GraphBuilder } from './builder.ts';
import type { Graph, Operation, Value } from './graph.ts';
import { type Replacement, rewrite } from './rewrite.ts';

/** Numbers of 16 bits. */
export type Half = 'float16' | 'bfloat16';

export interface Halving {
  readonly type: Half;
  /** The inputs that are halves. */
  readonly inputs: ReadonlySet<string>;
  /**
   * What a product with one of these is computed of: `half`, both factors rounded, for kernels that add up in float32 and round the sum;
   * `float32` where kernels would add up in halves: then the weight alone is a half, and is widened in front of the product.
   */
  readonly products: 'half' | 'float32';
}

/** The least normal float32: what a row of zeros is divided by. */
const leastNormal = 2 ** -126;

/**
 * The same graph with halves for some inputs. Nothing else is rounded but the factors of their products and these themselves:
 * norms, attention, losses and the gradients of weights are computed in float32.
 */
export function inHalf(graph: Graph, { type, inputs, products }: Halving): GraphBuilder {
  /** The halves by the names of what they are in float32. */
  const halves = new Map<string, Value>();
  const replacements = products === 'half' ? { FusedMatMul: productOf(type, halves) } : {};
  return rewrite(graph, replacements, (g, { name, dtype, shape }) => {
    if (!inputs.has(name)) return g.input(name, dtype, shape);
    const half = g.input(name, type, shape);
    const wide = g.cast(half, 'float32');
    halves.set(wide.name, half);
    return wide;
  });
}

/** x W, x rounded to halves as W is; the product is half again, and widened. */
const productOf =
  (type: Half, halves: ReadonlyMap<string, Value>): Replacement =>
  (g, operation) => {
    const [x, wide] = operation.inputs as [Value, Value];
    const half = halves.get(wide.name);
    if (half === undefined || isSet(operation, 'transA')) return undefined;
    // bfloat16 reaches as far as float32.
    const { rows, scale } = type === 'float16' ? scaled(g, x) : { rows: x };
    const weight = isSet(operation, 'transB') ? g.swapped(half) : half;
    const { shape } = operation.outputs[0] as Value;
    const product = g.cast(g.apply('MatMul', [g.cast(rows, type), weight], shape), 'float32');
    const { float: alpha } = operation.attributes['alpha'] as { float: number };
    const times = [scale, alpha === 1 ? undefined : g.scalar(alpha)].filter((factor) => factor !== undefined);
    return [times.reduce((value, factor) => g.mul(value, factor), product)];
  };

/** Each row as a multiple of its largest number, so that float16 neither overflows nor loses small gradients. */
function scaled(g: GraphBuilder, x: Value): { rows: Value; scale: Value } {
  const largest = g.reduceMax(g.max(x, g.neg(x)), [x.shape.length - 1]);
  const scale = g.max(largest, g.scalar(leastNormal));
  return { rows: g.div(x, scale), scale };
}

const isSet = ({ attributes }: Operation, name: string): boolean =>
  (attributes[name] as { int: number }).int === 1;
