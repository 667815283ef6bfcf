// The gradient rule of each operator.
import type { GraphBuilder } from './builder.ts';
import type { Operation, Value } from './graph.ts';
import type { Initializer } from './onnx.ts';
import { product } from './shapes.ts';

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
  // Where both are equal, each gets half, as in PyTorch.
  Max: each(
    (g, dy, op) => g.mul(dy, above(g, input(op, 0), input(op, 1))),
    (g, dy, op) => g.mul(dy, above(g, input(op, 1), input(op, 0))),
  ),
  Min: each(
    (g, dy, op) => g.mul(dy, above(g, input(op, 1), input(op, 0))),
    (g, dy, op) => g.mul(dy, above(g, input(op, 0), input(op, 1))),
  ),
  Neg: each((g, dy) => g.neg(dy)),
  Reciprocal: each((g, dy, op) => g.neg(g.mul(dy, g.mul(output(op), output(op))))),
  Pow: each((g, dy, op) => {
    const exponent = Number((input(op, 1) as Initializer).data[0]);
    return g.mul(dy, g.mul(g.scalar(exponent), g.pow(input(op, 0), exponent - 1)));
  }),
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
  // dy/dx = s + y (1 - s), s = sigmoid(x), y = x s
  QuickGelu: each((g, dy, op) => {
    const s = g.sigmoid(input(op, 0));
    return g.mul(dy, g.add(s, g.mul(output(op), g.sub(g.scalar(1), s))));
  }),

  Gelu: each((g, dy, op) => {
    const { text } = op.attributes['approximate'] as { text: string };
    return g.mul(dy, text === 'tanh' ? geluTanhSlope(g, input(op, 0)) : geluSlope(g, input(op, 0)));
  }),
  Where: ({ g, operation, dy, needs }) => {
    const [condition, a, b] = operation.inputs as [Value, Value, Value];
    return [
      undefined,
      needs(1) ? sumTo(g, g.where(condition, dy, g.scalar(0)), a.shape) : undefined,
      needs(2) ? sumTo(g, g.where(condition, g.scalar(0), dy), b.shape) : undefined,
    ];
  },

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
        const rows = (x: Value) => g.reshape(x, [product(x.shape.slice(0, -1)), x.shape.at(-1) as number]);
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
  RotaryEmbedding: each((g, dy, op) => {
    const heads = op.attributes['num_heads'] as { int: number } | undefined;
    const size = heads && (dy.shape.at(-1) as number) / heads.int;
    return g.rotary(dy, input(op, 1), input(op, 2), g.neg(input(op, 3)), size);
  }),

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

  Gather: each((g, dy, op) => {
    const [x, indices] = [input(op, 0), input(op, 1)];
    const { int: axis } = op.attributes['axis'] as { int: number };
    const count = product(indices.shape);
    const updates = g.reshape(dy, x.shape.with(axis, count));
    const along = g.reshape(
      indices,
      x.shape.map((_, i) => (i === axis ? count : 1)),
    );
    return g.scatterSum(x.shape, g.expand(along, updates.shape), updates, axis);
  }),
  GatherElements: each((g, dy, op) =>
    g.scatterSum(input(op, 0).shape, input(op, 1), dy, input(op, 0).shape.length - 1),
  ),

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
  // y = n w + b with n = (x - mean(x)) r:  dx = r (dy w - mean(dy w) - n mean(dy w n)),  dw = sum(dy n),  db = sum(dy)
  LayerNormalization: ({ g, operation, dy, needs }) => {
    const [x, w, b] = operation.inputs as [Value, Value, Value];
    const [, mean, r] = operation.outputs as [Value, Value, Value];
    const last = [x.shape.length - 1];
    const normalised = g.mul(g.sub(x, mean), r);
    const dx = () => {
      const scaled = g.mul(dy, w);
      const along = g.mul(normalised, g.reduceMean(g.mul(scaled, normalised), last));
      return g.mul(r, g.sub(g.sub(scaled, g.reduceMean(scaled, last)), along));
    };
    return [
      needs(0) ? dx() : undefined,
      needs(1) ? sumTo(g, g.mul(dy, normalised), w.shape) : undefined,
      needs(2) ? sumTo(g, dy, b.shape) : undefined,
    ];
  },
};

/** 1 where a > b, 0 where a < b, 1/2 where they are equal. */
const above = (g: GraphBuilder, a: Value, b: Value) =>
  g.add(g.mul(g.sign(g.sub(a, b)), g.scalar(0.5)), g.scalar(0.5));

/** gelu(x) = x P(x), so its slope is P(x) + x p(x), P and p the normal distribution's. */
function geluSlope(g: GraphBuilder, x: Value): Value {
  const half = g.scalar(0.5);
  const distribution = g.mul(half, g.add(g.scalar(1), g.erf(g.mul(x, g.scalar(Math.SQRT1_2)))));
  const density = g.mul(g.scalar(1 / Math.sqrt(2 * Math.PI)), g.exp(g.neg(g.mul(half, g.mul(x, x)))));
  return g.add(distribution, g.mul(x, density));
}

/** y = x (1 + t) / 2 with t = tanh(k (x + c x^3)):  dy/dx = (1 + t)/2 + x (1 - t^2) k (1 + 3 c x^2) / 2. */
function geluTanhSlope(g: GraphBuilder, x: Value): Value {
  const [one, half] = [g.scalar(1), g.scalar(0.5)];
  const [k, c] = [Math.sqrt(2 / Math.PI), 0.044715];
  const square = g.mul(x, x);
  const t = g.tanh(g.mul(g.mul(g.scalar(k), x), g.add(one, g.mul(g.scalar(c), square))));
  const inner = g.add(g.scalar(k), g.mul(g.scalar(3 * k * c), square));
  const change = g.mul(x, g.mul(g.sub(one, g.mul(t, t)), inner));
  return g.mul(half, g.add(g.add(one, t), change));
}

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
