// What onnxruntime's webgpu provider computes wrongly or hands to the CPU, written in operators that it has kernels for.
import type { Operation, Replacement, Value } from '../graph/index.ts';

/** The least normal float32: what is divided by it overflows nothing that a normal number would not. */
const leastNormal = 2 ** -126;

/** By operator, for onnxruntime 1.30; `test/golden/webgpu.test.ts` tries all operators of the builder beside the CPU. */
export const webgpuReplacements: Readonly<Record<string, Replacement>> = {
  // No kernel: transposed first, scaled afterwards.
  FusedMatMul(g, operation) {
    const [a, b] = operation.inputs as [Value, Value];
    const { transA, transB, alpha } = operation.attributes;
    const left = isSet(transA) ? g.swapped(a) : a;
    const right = isSet(transB) ? g.swapped(b) : b;
    const product = g.apply('MatMul', [left, right], shapeOf(operation));
    const { float } = alpha as { float: number };
    return [float === 1 ? product : g.mul(product, g.scalar(float))];
  },
  // No kernel: x - max(x) - log(sum(exp(x - max(x)))).
  LogSoftmax(g, { inputs }) {
    const x = inputs[0] as Value;
    const last = [x.shape.length - 1];
    const lower = g.sub(x, g.reduceMax(x, last));
    return [g.sub(lower, g.log(g.reduceSum(g.exp(lower), last)))];
  },
  // No kernel: ones added to zeros at the indices.
  OneHot(g, operation) {
    const indices = operation.inputs[0] as Value;
    const shape = shapeOf(operation);
    const at = [...indices.shape, 1];
    const ones = g.expand(g.scalar(1), at);
    return [g.scatterSum(shape, g.reshape(indices, at), ones, shape.length - 1)];
  },
  // No kernel: x / |x|, and 0 / 1 at 0.
  Sign(g, { inputs }) {
    const x = inputs[0] as Value;
    return [g.div(x, g.max(g.max(x, g.neg(x)), g.scalar(leastNormal)))];
  },
  // The inverse deviation, its second output, is never written.
  SimplifiedLayerNormalization(g, { inputs, attributes }, isUsed) {
    if (!isUsed(1)) return undefined;
    const [x, weight] = inputs as [Value, Value];
    const { float: epsilon } = attributes['epsilon'] as { float: number };
    const mean = g.reduceMean(g.mul(x, x), [x.shape.length - 1]);
    const inverse = g.reciprocal(g.sqrt(g.add(mean, g.scalar(epsilon))));
    return [g.mul(g.mul(x, inverse), weight), inverse];
  },
};

const isSet = (attribute: Operation['attributes'][string] | undefined): boolean =>
  attribute !== undefined && 'int' in attribute && attribute.int === 1;

const shapeOf = ({ outputs }: Operation): readonly number[] => (outputs[0] as Value).shape;
