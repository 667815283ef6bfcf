// How many heads and channels stay in each layer for a share of the parameters.
import { type Part, type PerPart, parts } from './units.ts';

/** A layer's parameters, in all and by unit, and how many units it has. */
export interface LayerCosts {
  readonly whole: number;
  readonly unit: PerPart<number>;
  readonly units: PerPart<number>;
}

/**
 * The same share for each layer: of its heads what is nearest to the share, of its channels what is then left of it. One of each
 * stays in any case.
 */
export function sameInEach(layer: LayerCosts, ratio: number): PerPart<number> {
  const { whole, unit, units } = layer;
  const attention = within(Math.round(ratio * units.attention), units.attention);
  const rest = ratio * whole - fixedOf(layer) - attention * unit.attention;
  return { attention, mlp: within(Math.floor(rest / unit.mlp + rounding), units.mlp) };
}

/**
 * One threshold for all layers: units in the order of their scores as long as their parameters are within the share, whatever
 * layer they are of. One of each part stays in every layer in any case.
 * @param layers with each unit's score, comparable over layers and parts
 */
export function bestOfAll(
  layers: readonly (LayerCosts & { readonly scores: PerPart<Float64Array> })[],
  ratio: number,
): PerPart<number>[] {
  let left = 0;
  const sites: { layer: number; part: Part; cost: number; count: number }[] = [];
  const count = layers.reduce((sum, { units }) => sum + units.attention + units.mlp, 0);
  // A model has millions of channels: numbers side by side, no object for each.
  const scores = new Float64Array(count);
  const siteOf = new Uint32Array(count);
  let end = 0;
  layers.forEach((costs, layer) => {
    left += ratio * costs.whole - fixedOf(costs);
    for (const part of parts) {
      left -= costs.unit[part];
      const others = costs.scores[part].toSorted().subarray(0, -1);
      scores.set(others, end);
      siteOf.fill(sites.length, end, end + others.length);
      end += others.length;
      sites.push({ layer, part, cost: costs.unit[part], count: 1 });
    }
  });
  const order = Uint32Array.from({ length: end }, (_, i) => i).sort(
    (a, b) => scores[b]! - scores[a]! || a - b,
  );
  for (const i of order) {
    const site = sites[siteOf[i]!]!;
    if (site.cost > left + rounding) continue;
    left -= site.cost;
    site.count++;
  }
  const countOf = (layer: number, part: Part) =>
    sites.find((site) => site.layer === layer && site.part === part)!.count;
  return layers.map((_, layer) => ({
    attention: countOf(layer, 'attention'),
    mlp: countOf(layer, 'mlp'),
  }));
}

/** The units of the highest scores, ascending by number; of equal ones the first. */
export function highest(scores: Float64Array, count: number): number[] {
  return [...scores.keys()]
    .sort((a, b) => scores[b]! - scores[a]! || a - b)
    .slice(0, count)
    .sort((a, b) => a - b);
}

/** What stays whatever is chosen: key/value heads that all query heads share. */
const fixedOf = ({ whole, unit, units }: LayerCosts) =>
  whole - unit.attention * units.attention - unit.mlp * units.mlp;

const within = (count: number, most: number) => Math.min(most, Math.max(1, count));

/** A share of 1 must leave everything, whatever its product with the size rounds to. */
const rounding = 1e-6;
