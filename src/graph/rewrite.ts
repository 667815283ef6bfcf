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

/** What stands in an input's place: a value that is added to `g`. */
export type InputReplacement = (g: GraphBuilder, input: Value) => Value;

const sameInput: InputReplacement = (g, { name, dtype, shape }) => g.input(name, dtype, shape);

/**
 * The same graph, by names of inputs and outputs, with the operators in `replacements` replaced; what then nobody reads is left out.
 */
export function rewrite(
  graph: Graph,
  replacements: Readonly<Record<string, Replacement>>,
  replacedInput = sameInput,
): GraphBuilder {
  const g = new GraphBuilder();
  const made = new Map<string, Value>();
  const now = ({ name }: Value): Value => made.get(name) as Value;
  const used = new Set([
    ...graph.operations.flatMap(({ inputs }) => inputs.map(({ name }) => name)),
    ...graph.outputs.map(({ value }) => value.name),
  ]);
  for (const input of graph.inputs) made.set(input.name, replacedInput(g, input));
  for (const { name, dtype, shape } of graph.apart) made.set(name, g.givenOnce(name, dtype, shape));
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
  const values = g.outputs.map(({ value }) => value);
  g.operations.splice(0, g.operations.length, ...neededFor(values, g.operations));
  const read = new Set([...values, ...g.operations.flatMap(({ inputs }) => inputs)].map(({ name }) => name));
  g.initializers.splice(0, g.initializers.length, ...g.initializers.filter(({ name }) => read.has(name)));
  return g;
}

/** The operators that lead to some values, in their order. */
export function neededFor(values: readonly Value[], operations: readonly Operation[]): Operation[] {
  const read = new Set(values.map(({ name }) => name));
  const needed = operations.toReversed().filter(({ inputs, outputs }) => {
    const isNeeded = outputs.some(({ name }) => read.has(name));
    if (isNeeded) for (const { name } of inputs) read.add(name);
    return isNeeded;
  });
  return needed.reverse();
}
