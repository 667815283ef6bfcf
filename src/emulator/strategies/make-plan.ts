// From the similarities of layers to the plan: selection, transfer layers, sharing.
import { checkKept, type Plan, type Strategy } from '../plan/plan.ts';
import { type Sharing, shareLayers } from '../plan/share.ts';
import { type TransferChoice, transferLayers } from '../plan/transfer.ts';
import { all } from './all.ts';
import { crash } from './crash.ts';
import { uniform } from './uniform.ts';

const strategies = { crash, uniform, all } satisfies Record<string, Strategy>;

export interface PlanOptions {
  readonly strategy: keyof typeof strategies;
  /** How many layers are kept (K); every one when absent. */
  readonly layers?: number;
  readonly sharing: Sharing;
  readonly transferLayers: TransferChoice;
}

/** The plan from the L-1 adjacent similarities. BadSpec where the model has too few layers for what is asked. */
export function makePlan(adjacent: readonly number[], options: PlanOptions): Plan {
  const depth = adjacent.length + 1;
  const count = options.layers ?? depth;
  checkKept(count, depth);
  const { clusters, kept } = strategies[options.strategy](adjacent, count);
  return {
    clusters,
    kept,
    transferLayers: transferLayers(kept, options.transferLayers),
    source: shareLayers(clusters, kept, options.sharing),
  };
}
