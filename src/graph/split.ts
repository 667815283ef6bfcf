import { GraphBuilder, product, type Value } from './builder.ts';
import { gradients } from './gradients.ts';

/** Forward and backward as two graphs, with what the first must keep for the second. */
export interface Split {
  /** Outputs `y` and every residual under its own name. */
  forward: GraphBuilder;
  /** Inputs: those of the forward graph that it needs, the residuals, and `dy`; outputs `d.<input>` for each of `wrt`. */
  backward: GraphBuilder;
  /** What backward takes from forward. */
  residuals: Value[];
  /** The names of the forward graph's inputs that backward reads again. */
  reread: string[];
}

/** Cheap to compute again from their inputs, so their outputs are not kept when the inputs are at hand anyway. */
const cheap = new Set(['Reshape', 'Sigmoid', 'Neg', 'Mul', 'Add', 'Sub']);

/**
 * Splits a block into a forward graph and the graph of its gradients.
 * @param build adds the block's operators to a builder and returns its output and the inputs to differentiate
 */
export function split(build: (g: GraphBuilder) => { y: Value; wrt: readonly Value[] }): Split {
  const forward = new GraphBuilder();
  forward.output('y', build(forward).y);

  const both = new GraphBuilder();
  const { y, wrt } = build(both);
  const forwardOperations = both.operations.length;
  const dy: Value = { name: 'dy', dtype: 'float32', shape: y.shape };
  const grads = gradients(both, [{ value: y, gradient: dy }], wrt);
  const backwardOperations = both.operations.slice(forwardOperations);

  const given = new Set(['dy', ...both.inputs.map((v) => v.name), ...both.initializers.map((v) => v.name)]);
  const producers = new Map(
    both.operations
      .slice(0, forwardOperations)
      .flatMap((op) => op.outputs.map((value) => [value.name, op] as const)),
  );
  const residuals = new Map<string, Value>();
  const again = new Set<ReturnType<typeof producers.get>>();
  const wanted = backwardOperations
    .flatMap((op) => op.inputs)
    .concat(grads)
    .filter((value) => producers.has(value.name));
  // Large ones first would not matter: a value is kept unless what it is made from is at hand.
  const atHand = (value: Value): boolean => given.has(value.name) || residuals.has(value.name);
  for (const value of wanted) {
    const producer = producers.get(value.name);
    if (producer === undefined || atHand(value)) continue;
    residuals.set(value.name, value);
  }
  for (const value of [...residuals.values()]) {
    const producer = producers.get(value.name);
    if (producer === undefined || !cheap.has(producer.operator) || product(value.shape) === 1) continue;
    residuals.delete(value.name);
    if (producer.inputs.every(atHand)) again.add(producer);
    else residuals.set(value.name, value);
  }

  const backward = new GraphBuilder();
  backward.operations.push(
    ...both.operations.slice(0, forwardOperations).filter((op) => again.has(op)),
    ...backwardOperations,
  );
  const used = new Set(backward.operations.flatMap((op) => op.inputs.map((value) => value.name)));
  for (const value of grads) used.add(value.name);
  backward.initializers.push(...both.initializers.filter((value) => used.has(value.name)));
  const reread = both.inputs.filter((value) => used.has(value.name));
  for (const value of [...reread, ...residuals.values(), dy])
    backward.input(value.name, value.dtype, value.shape);
  wrt.forEach((value, i) => {
    backward.output(`d.${value.name}`, grads[i] as Value);
  });
  for (const value of residuals.values()) forward.output(`saved.${value.name}`, value);
  return { forward, backward, residuals: [...residuals.values()], reread: reread.map((value) => value.name) };
}
