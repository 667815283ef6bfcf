// The linear maps of a block, found in its graph, and the moments of what goes in and of the gradients that come back.
import { type GraphBuilder, product, type Value } from '../graph/index.ts';
import type { Slots } from './family.ts';
import { linearMaps } from './shape.ts';

/** Where a linear map stands in a graph: what it is given, and the product before its bias. */
export interface MapSite {
  readonly slot: string;
  readonly input: Value;
  readonly output: Value;
}

/** Each linear map's product in a block's graph, in the order of the slots. @throws Error where a map has none, or two */
export function mapSites(g: GraphBuilder, slots: Slots): MapSite[] {
  return linearMaps(slots).map(([slot]) => {
    const [site, ...others] = g.operations.filter(({ inputs }) => inputs[1]?.name === `w.${slot}`);
    if (site?.operator !== 'FusedMatMul' || others.length > 0)
      throw new Error(`w.${slot} is not the second factor of just one product`);
    return { slot, input: site.inputs[0] as Value, output: site.outputs[0] as Value };
  });
}

/**
 * Adds sums over tokens of what the maps are given: of x as `first.<slots>`, [from], of x x^T as `second.<slots>`,
 * [from, from]. Maps that are given the same have one of each, and their names are joined by `+`.
 * @param counted 1 for each token that counts and 0 for padding, [tokens, 1]
 */
export function addInputSums(g: GraphBuilder, slots: Slots, counted: Value): void {
  for (const { names, input } of mapInputs(g, slots)) {
    const x = g.mul(byToken(g, input), counted);
    g.output(`first.${names}`, g.reduceSum(x, [0], false));
    g.output(`second.${names}`, g.matmul(x, x, { transA: true }));
  }
}

/** What the maps are given, and the slots' names of each joined by `+`. */
export function mapInputs(g: GraphBuilder, slots: Slots): { names: string; input: Value }[] {
  const byInput = Map.groupBy(mapSites(g, slots), ({ input }) => input.name);
  return [...byInput.values()].map((sites) => ({
    names: sites.map(({ slot }) => slot).join('+'),
    input: sites[0]!.input,
  }));
}

/**
 * Sums over tokens of a map's gradients: of dL/dW as `weight.<slot>`, [to, from] however the map is stored, of g g^T as
 * `outputs.<slot>`, [to, to], where g is dL/d(product). No gradient reaches padding.
 */
export function gradientSums(
  g: GraphBuilder,
  slots: Slots,
  gradients: readonly { slot: string; weight: Value; output: Value }[],
): Record<string, Value> {
  return Object.fromEntries(
    gradients.flatMap(({ slot, weight, output }) => {
      const atOutput = byToken(g, output);
      return [
        [`weight.${slot}`, slots[slot]!.transposed ? g.transpose(weight, [1, 0]) : weight],
        [`outputs.${slot}`, g.matmul(atOutput, atOutput, { transA: true })],
      ];
    }),
  );
}

function byToken(g: GraphBuilder, x: Value): Value {
  const width = x.shape.at(-1) as number;
  return g.reshape(x, [product(x.shape) / width, width]);
}
