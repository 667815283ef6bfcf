// A block for training as two graphs, and the residuals that pass from the forward to the backward one.
import { GraphBuilder } from './builder.ts';
import { gradients } from './gradients.ts';
import type { Operation, Value } from './graph.ts';
import { neededFor } from './rewrite.ts';

/** Forward and backward as two graphs, with what the first must keep for the second. */
export interface Split {
  /** Outputs `y`, and every residual as `saved.<name>`. */
  forward: GraphBuilder;
  /** Inputs: those of the forward graph that it needs, the residuals, and `dy`; outputs `d.<name>` for each of `wrt`, or others. */
  backward: GraphBuilder;
  /** The same without residuals: it runs what is needed of the forward graph again. */
  whole: GraphBuilder;
  /** What backward takes from forward. */
  residuals: Value[];
  /** The names of the forward graph's inputs that backward reads again. */
  reread: string[];
}

/** So cheap to run beside the matrix products that backward runs them again where it has their inputs anyway. */
const cheap = new Set([
  'Add',
  'Mul',
  'Neg',
  'QuickGelu',
  'Relu',
  'Reshape',
  'Sigmoid',
  'SimplifiedLayerNormalization',
  'Sub',
]);

/** A block's output, and what is differentiated: its inputs, or values on the way. */
export interface Differentiated {
  readonly y: Value;
  readonly wrt: readonly Value[];
  /** What the backward graph gives, made of the gradients of `wrt`; these themselves when absent. */
  readonly outputs?: (g: GraphBuilder, gradients: readonly Value[]) => Readonly<Record<string, Value>>;
  /** Which outputs of the backward graph stay where it runs, as all of the forward graph's do. */
  readonly stays?: (output: string) => boolean;
}

/**
 * Splits a block into a forward graph and the graph of its gradients.
 * @param build adds the block's operators to a builder
 */
export function split(build: (g: GraphBuilder) => Differentiated): Split {
  const both = new GraphBuilder();
  const { y, wrt, outputs = named(wrt), stays: staysThere = () => false } = build(both);
  const forwardOperations = [...both.operations];
  const dy: Value = { name: 'dy', dtype: 'float32', shape: y.shape };
  const given = outputs(both, gradients(both, [{ value: y, gradient: dy }], wrt));
  const backwardOperations = both.operations.slice(forwardOperations.length);

  const wanted = namesOf([
    ...backwardOperations.flatMap((operation) => operation.inputs),
    ...Object.values(given),
  ]);
  const stored = namesOf([...both.inputs, ...both.initializers]);
  const atHand = ({ name }: Value) => stored.has(name) || wanted.has(name);
  const isWanted = ({ name }: Value) => wanted.has(name);
  const [again, once] = partition(
    forwardOperations,
    ({ operator, inputs, outputs }) => cheap.has(operator) && outputs.some(isWanted) && inputs.every(atHand),
  );
  const residuals = once.flatMap(({ outputs }) => outputs.filter(isWanted));

  /** The gradients by some operators, and the names of the inputs that these read. */
  const graphOf = (operations: readonly Operation[], taken: readonly Value[]) => {
    const g = new GraphBuilder();
    g.operations.push(...operations);
    const used = namesOf([...operations.flatMap(({ inputs }) => inputs), ...Object.values(given)]);
    g.initializers.push(...both.initializers.filter(({ name }) => used.has(name)));
    const reread = both.inputs.filter(({ name }) => used.has(name));
    for (const { name, dtype, shape } of [...reread, ...taken, dy]) g.input(name, dtype, shape);
    for (const [name, value] of Object.entries(given)) g.output(name, value, { stays: staysThere(name) });
    return { g, reread: reread.map(({ name }) => name) };
  };
  const { g: backward, reread } = graphOf([...again, ...backwardOperations], residuals);
  const { g: whole } = graphOf(neededFor(Object.values(given), both.operations), []);

  const forward = new GraphBuilder();
  forward.output('y', build(forward).y, { stays: true });
  for (const value of residuals) forward.output(`saved.${value.name}`, value, { stays: true });
  return { forward, backward, whole, residuals, reread };
}

const named = (wrt: readonly Value[]) => (_: GraphBuilder, gradients: readonly Value[]) =>
  Object.fromEntries(wrt.map(({ name }, i) => [`d.${name}`, gradients[i] as Value]));

const namesOf = (values: readonly Value[]) => new Set(values.map(({ name }) => name));

function partition<T>(items: readonly T[], test: (item: T) => boolean): [T[], T[]] {
  return [items.filter(test), items.filter((item) => !test(item))];
}
