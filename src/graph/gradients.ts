// Automatic differentiation of a graph.
import type { GraphBuilder } from './builder.ts';
import type { Value } from './graph.ts';
import { rules } from './rules.ts';
import { equalShapes } from './shapes.ts';

/** A value of the graph and dL/d(value), of the same shape. */
export interface Seed {
  value: Value;
  gradient: Value;
}

/**
 * Reverse-mode differentiation: appends to the graph what computes dL/dx for each x of `wrt`.
 * Only operators between `wrt` and the seeds are visited; nothing is computed for other inputs.
 * @returns the gradients in the order of `wrt`, each of its value's shape
 * @throws Error when nothing seeded depends on an x, an operator on the way has no rule, or a seed has another shape
 */
export function gradients(g: GraphBuilder, seeds: readonly Seed[], wrt: readonly Value[]): Value[] {
  const forward = [...g.operations];
  const depends = new Set<string>(wrt.map((value) => value.name));
  for (const operation of forward) {
    if (operation.inputs.some((value) => depends.has(value.name))) {
      for (const output of operation.outputs) depends.add(output.name);
    }
  }

  const known = new Map<string, Value>();
  const accumulate = (value: Value, gradient: Value) => {
    const earlier = known.get(value.name);
    known.set(value.name, earlier === undefined ? gradient : g.add(earlier, gradient));
  };
  for (const { value, gradient } of seeds) {
    if (!equalShapes(value.shape, gradient.shape))
      throw new Error(`the gradient of ${value.name} [${value.shape}] cannot be [${gradient.shape}]`);
    accumulate(value, gradient);
  }

  for (const operation of forward.reverse()) {
    const dy = known.get((operation.outputs[0] as Value).name);
    const needs = (i: number) => depends.has((operation.inputs[i] as Value).name);
    if (dy === undefined || !operation.inputs.some((_, i) => needs(i))) continue;
    const rule = rules[operation.operator];
    if (rule === undefined) throw new Error(`no gradient rule for ${operation.operator}`);
    rule({ g, operation, dy, needs }).forEach((gradient, i) => {
      if (gradient !== undefined) accumulate(operation.inputs[i] as Value, gradient);
    });
  }
  return wrt.map((value) => {
    const gradient = known.get(value.name);
    if (gradient === undefined) throw new Error(`nothing depends on ${value.name}`);
    return gradient;
  });
}
