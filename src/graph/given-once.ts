// Inputs of a graph that become part of it once: what is the same in every run goes to a device when the graph is made ready.
import type { GraphBuilder } from './builder.ts';
import type { Graph } from './graph.ts';
import { rewrite } from './rewrite.ts';

/** The same graph, of which some inputs are given once and no more in each run. */
export const withGivenOnce = (graph: Graph, inputs: ReadonlySet<string>): GraphBuilder =>
  rewrite(graph, {}, (g, { name, dtype, shape }) =>
    inputs.has(name) ? g.givenOnce(name, dtype, shape) : g.input(name, dtype, shape),
  );
