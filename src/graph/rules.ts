import type { GraphBuilder, Operation, Value } from './builder.ts';
import type { Initializer } from './onnx.ts';

/** What a rule is given: the operator, the gradient of its first output, and which inputs need a gradient. */
export interface RuleContext {
  g: GraphBuilder;
  operation: Operation;
  dy: Value;
  needs: (input: number) => boolean;
}

/** The gradient of each input, in order; undefined where none is needed or none exists. */
export type Rule = (context: RuleContext) => (Value | undefined)[];

/** A rule in which each input's gradient is a function of its own, made only when it is needed. */
const each =
  (...gradients: ((g: GraphBuilder, dy: Value, operation: Operation) => Value)[]): Rule =>
  ({ g, operation, dy, needs }) =>
    operation.inputs.map((input, i) => {
      const gradient = gradients[i];
      return gradient !== undefined && needs(i)
        ? sumTo(g, gradient(g, dy, operation), input.shape)
        : undefined;
    });

const input = (operation: Operation, i: number) => operation.inputs[i] as Value;
const output = (operation: Operation) => operation.outputs[0] as Value;

/** Reverse-mode rules, one per operator: from dL/dy to dL/d(inputs). */
export const rules: Readonly<Record<string, Rule>> = {
  Add: each(
    (_, dy) => dy,
    (_, dy) => dy,
  ),
  Sub: each(
    (_, dy) => dy,
    (g, dy) => g.neg(dy),
  ),
  Mul: each(
    (g, dy, op) => g.mul(dy, input(op, 1)),
    (g, dy, op) => g.mul(dy, input(op, 0)),
  ),
  Div: each(
    (g, dy, op) => g.div(dy, input(op, 1)),
    // d(a/b)/db = -y/b
    (g, dy, op) => g.neg(g.div(g.mul(dy, output(op)), input(op, 1))),
  ),
  Neg: each((g, dy) => g.neg(dy)),
  Exp: each((g, dy, op) => g.mul(dy, output(op))),
  Log: each((g, dy, op) => g.div(dy, input(op, 0))),
  Sqrt: each((g, dy, op) => g.div(g.mul(dy, g.scalar(0.5)), output(op))),
  Tanh: each((g, dy, op) => g.mul(dy, g.sub(g.scalar(1), g.mul(output(op), output(op))))),
  Sigmoid: each((g, dy, op) => g.mul(dy, g.mul(output(op), g.sub(g.scalar(1), output(op))))),
  // d erf(x)/dx = 2/sqrt(pi) exp(-x^2)
  Erf: each((g, dy, op) =>
    g.mul(dy, g.mul(g.scalar(2 / Math.sqrt(Math.PI)), g.exp(g.neg(g.mul(input(op, 0), input(op, 0)))))),
  ),
  Relu: each((g, dy, op) => g.mul(dy, g.sign(output(op)))),
  // d (x s)/dx = s (1 + x (1 - s)), s = sigmoid(x)
  QuickGelu: each((g, dy, op) => {
    const x = input(op, 0);
    const s = g.sigmoid(x);
    return g.mul(dy, g.mul(s, g.add(g.scalar(1), g.mul(x, g.sub(g.scalar(1), s)))));
  }),

  FusedMatMul: ({ g, operation, dy, needs }) => {
    const [a, b] = [input(operation, 0), input(operation, 1)];
    const transA = flag(operation, 'transA');
    const transB = flag(operation, 'transB');
    const alpha = (operation.attributes['alpha'] as { float: number }).float;
    const da = () =>
      transA
        ? g.matmul(b, dy, { transA: transB, transB: true, alpha })
        : g.matmul(dy, b, { transB: !transB, alpha });
    const db = () => {
      // A weight shared by all leading dimensions: one product over all rows, not one a row and a sum.
      if (b.shape.length === 2 && a.shape.length > 2 && !transA) {
        const rows = (x: Value) =>
          g.reshape(x, [x.shape.slice(0, -1).reduce((m, n) => m * n, 1), x.shape.at(-1) as number]);
        const [flatA, flatDy] = [rows(a), rows(dy)];
        return transB
          ? g.matmul(flatDy, flatA, { transA: true, alpha })
          : g.matmul(flatA, flatDy, { transA: true, alpha });
      }
      return transB
        ? g.matmul(dy, a, { transA: true, transB: transA, alpha })
        : g.matmul(a, dy, { transA: !transA, alpha });
    };
    return [needs(0) ? sumTo(g, da(), a.shape) : undefined, needs(1) ? sumTo(g, db(), b.shape) : undefined];
  },

  // A rotation's transpose turns back: the same with the sine negated.
  RotaryEmbedding: each((g, dy, op) => g.rotary(dy, input(op, 1), input(op, 2), g.neg(input(op, 3)))),

  Reshape: each((g, dy, op) => g.reshape(dy, input(op, 0).shape)),
  Transpose: each((g, dy, op) => {
    const { ints } = op.attributes['perm'] as { ints: readonly number[] };
    return g.transpose(
      dy,
      ints.map((_, axis) => ints.indexOf(axis)),
    );
  }),
  Expand: each((_, dy) => dy),
  Slice: each((g, dy, op) => {
    const x = input(op, 0);
    const [start, end, axis] = [1, 2, 3].map((i) => Number((input(op, i) as Initializer).data[0])) as [
      number,
      number,
      number,
    ];
    const zeros = (length: number) => g.zeros(x.shape.with(axis, length));
    const parts = [dy];
    if (start > 0) parts.unshift(zeros(start));
    if (end < (x.shape[axis] as number)) parts.push(zeros((x.shape[axis] as number) - end));
    return parts.length === 1 ? dy : g.concat(parts, axis);
  }),
  Concat: ({ g, operation, dy, needs }) => {
    const { int: axis } = operation.attributes['axis'] as { int: number };
    let start = 0;
    return operation.inputs.map((part, i) => {
      const end = start + (part.shape[axis] as number);
      const gradient = needs(i) ? g.slice(dy, axis, start, end) : undefined;
      start = end;
      return gradient;
    });
  },

  ReduceSum: each((g, dy, op) => {
    const x = input(op, 0);
    const axes = Array.from((input(op, 1) as Initializer).data, Number);
    const kept = x.shape.map((length, axis) => (axes.includes(axis) ? 1 : length));
    return g.expand(g.reshape(dy, kept), x.shape);
  }),
  // dx = y (dy - sum(dy y))
  Softmax: each((g, dy, op) => {
    const y = output(op);
    const last = y.shape.length - 1;
    return g.mul(y, g.sub(dy, g.reduceSum(g.mul(dy, y), [last])));
  }),
  // dx = dy - softmax(x) sum(dy)
  LogSoftmax: each((g, dy, op) => {
    const y = output(op);
    return g.sub(dy, g.mul(g.exp(y), g.reduceSum(dy, [y.shape.length - 1])));
  }),
  // y = x r w with r = (mean(x^2) + eps)^(-1/2):  dx = r (dy w - x r^2 mean(dy w x)),  dw = sum(dy x r)
  SimplifiedLayerNormalization: ({ g, operation, dy, needs }) => {
    const [x, w] = [input(operation, 0), input(operation, 1)];
    const r = operation.outputs[1] as Value;
    const normalised = g.mul(x, r);
    const dx = () => {
      const scaled = g.mul(dy, w);
      const mean = g.reduceMean(g.mul(scaled, normalised), [x.shape.length - 1]);
      return g.mul(r, g.sub(scaled, g.mul(normalised, mean)));
    };
    return [needs(0) ? dx() : undefined, needs(1) ? sumTo(g, g.mul(dy, normalised), w.shape) : undefined];
  },
};

function flag(operation: Operation, name: string): boolean {
  return (operation.attributes[name] as { int: number }).int === 1;
}

/** Undoes broadcasting: sums over the dimensions along which a value of `shape` was repeated. */
export function sumTo(g: GraphBuilder, x: Value, shape: readonly number[]): Value {
  const extra = x.shape.length - shape.length;
  const axes = x.shape.flatMap((length, axis) =>
    axis < extra || (shape[axis - extra] === 1 && length > 1) ? [axis] : [],
  );
  const summed = axes.length > 0 ? g.reduceSum(x, axes) : x;
  return extra > 0 ? g.reshape(summed, shape) : summed;
}
