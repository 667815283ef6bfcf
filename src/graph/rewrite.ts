// A graph's operators replaced by others that give the same, where whoever runs it has no kernel for them.
import { GraphBuilder } from './builder.ts';
import type { Graph, Operation, Value } from './graph.ts';

/**
 * What stands in an operator's place: its outputs, in order, added to `g`; undefined leaves the operator as it is.
 * @param isUsed whether anybody reads the output of that index
 */
export type Replacement = (
  g: GraphBuilder,
  operation: Operation,
  isUsed: (output: number) => boolean,
) => readonly Value[] | undefined;

/** The same graph, by names of inputs and outputs, with the operators in `replacements` replaced. */
export function rewrite(graph: Graph, replacements: Readonly<Record<string, Replacement>>): GraphBuilder {
  const g = new GraphBuilder();
  const made = new Map<string, Value>();
  const now = ({ name }: Value): Value => made.get(name) as Value;
  const used = new Set([
    ...graph.operations.flatMap(({ inputs }) => inputs.map(({ name }) => name)),
    ...graph.outputs.map(({ value }) => value.name),
  ]);
  for (const { name, dtype, shape } of graph.inputs) made.set(name, g.input(name, dtype, shape));
  for (const stored of graph.initializers) made.set(stored.name, g.stored(stored));
  for (const operation of graph.operations) {
    const { operator, domain, attributes, outputs, inputs } = operation;
    const mapped = { ...operation, inputs: inputs.map(now) };
    const isUsed = (output: number) => used.has(outputs[output]?.name as string);
    const [first, ...others] = outputs as [Value, ...Value[]];
    const values =
      replacements[operator]?.(g, mapped, isUsed) ??
      g.applied(operator, mapped.inputs, first.shape, {
        ...{ domain, attributes, dtype: first.dtype },
        more: others.map(({ shape }) => shape),
      });
    for (const [i, value] of values.entries()) made.set((outputs[i] as Value).name, value);
  }
  for (const { name, value, stays } of graph.outputs) g.output(name, now(value), { stays });
  return g;
}
