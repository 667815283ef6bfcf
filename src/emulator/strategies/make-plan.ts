// From the similarities of layers to the plan: selection, transfer layers, sharing.
import { badSpec, type Way } from '../../api/index.ts';
import { checkKept, type Evidence, type Plan, type Strategy } from '../plan/plan.ts';
import { type Sharing, shareLayers } from '../plan/share.ts';
import { type TransferChoice, transferLayers } from '../plan/transfer.ts';
import { angular } from './angular.ts';
import { crash } from './crash.ts';
import { none } from './none.ts';
import { sleb } from './sleb.ts';
import { uniform } from './uniform.ts';

const strategies = { crash, uniform, angular, sleb, none } satisfies Record<string, Strategy>;

export interface PlanOptions {
  readonly strategy: keyof typeof strategies;
  /** How many layers are kept (K); of no account for `none`. */
  readonly layers?: number | undefined;
  readonly sharing: Sharing;
  readonly transferLayers: TransferChoice;
}

/** The plan's options of a way. */
export function planOptions(
  { strategy, layers, transferLayers: { count, placement, layers: listed } }: Way,
  sharing: Sharing,
): PlanOptions {
  return {
    strategy,
    ...(layers === undefined ? {} : { layers }),
    sharing,
    transferLayers:
      listed === undefined ? { count: count as number, ...(placement && { placement }) } : { layers: listed },
  };
}

/** What a strategy chooses by beside the similarities. */
export const observedBy = (strategy: PlanOptions['strategy']): readonly 'influence'[] =>
  strategy === 'angular' ? ['influence'] : [];

/** How many layers of a model are left out one by one to see what is lost: those that are not kept, where the strategy asks that. */
export const leftOut = ({ strategy, layers = 0 }: PlanOptions, depth: number): number =>
  strategy === 'sleb' ? depth - layers : 0;

/** How many layers stay. @throws OffsiteError BadSpec where the model has too few, or the strategy keeps more */
export function keptCount({ strategy, layers }: PlanOptions, depth: number): number {
  if (strategy === 'none') return depth;
  if (layers === undefined) throw badSpec(`spec.layers: is missing; ${strategy} keeps as many`);
  checkKept(layers, depth);
  if (strategy === 'sleb' && layers < Math.min(2, depth))
    throw badSpec(`spec.layers is ${layers}, and sleb keeps the first and the last layer; use 2 to ${depth}`);
  return layers;
}

/** The plan from what was found of the layers. BadSpec where the model has too few layers for what is asked. */
export function makePlan(found: Evidence, options: PlanOptions): Plan {
  const depth = found.adjacent.length + 1;
  const { clusters, kept } = strategies[options.strategy](found, keptCount(options, depth));
  return {
    clusters,
    kept,
    transferLayers: transferLayers(kept, options.transferLayers),
    source: shareLayers(clusters, kept, options.sharing),
  };
}
