import { badSpec } from '../../api/index.ts';
import { clusterLayers } from '../strategies/cluster.ts';
import { keepMiddles, keepUniform } from '../strategies/remove.ts';
import { nearest, type Sharing, shareLayers } from './share.ts';
import { type TransferChoice, transferLayers } from './transfer.ts';

/** Which layers of the full model the emulator holds and where it runs them; layers are counted from 0. */
export interface Plan {
  /** Every layer once, neighbours together. */
  readonly clusters: number[][];
  readonly kept: number[];
  readonly transferLayers: number[];
  /** source[i]: the layer whose weights position i runs. */
  readonly source: number[];
}

export type Strategy = 'crash' | 'uniform';

export interface PlanOptions {
  readonly strategy: Strategy;
  /** How many layers are kept (K). */
  readonly layers: number;
  readonly sharing: Sharing;
  readonly transferLayers: TransferChoice;
}

/** The plan from the L-1 adjacent similarities. BadSpec where the model has too few layers for what is asked. */
export function makePlan(adjacent: readonly number[], options: PlanOptions): Plan {
  const depth = adjacent.length + 1;
  checkKept(options.layers, depth);
  const { clusters, kept } = strategies[options.strategy](adjacent, options.layers);
  return {
    clusters,
    kept,
    transferLayers: transferLayers(kept, options.transferLayers),
    source: shareLayers(clusters, kept, options.sharing),
  };
}

/** @throws OffsiteError BadSpec where more layers are to be kept than there are */
export function checkKept(layers: number, depth: number): void {
  if (layers < 1 || layers > depth)
    throw badSpec(`spec.layers is ${layers}, but the model has ${depth} layers; use 1 to ${depth}`);
}

/** A strategy chooses the kept layers and the clusters they stand for. */
const strategies: Record<
  Strategy,
  (adjacent: readonly number[], count: number) => Pick<Plan, 'clusters' | 'kept'>
> = {
  crash: (adjacent, count) => {
    const clusters = clusterLayers(adjacent, count);
    return { clusters, kept: keepMiddles(clusters) };
  },
  uniform: (adjacent, count) => {
    const kept = keepUniform(adjacent.length + 1, count);
    return { clusters: groupsAround(kept, adjacent.length + 1), kept };
  },
};

/** Uniform spacing looks at no similarity; a layer belongs to the kept layer nearest to it. */
function groupsAround(kept: readonly number[], depth: number): number[][] {
  const positions = Array.from({ length: depth }, (_, position) => position);
  return kept.map((layer) => positions.filter((position) => nearest(kept, position) === layer));
}

/**
 * Whether position i of the emulator trains: it runs a transfer layer at that layer's own place. Elsewhere a transfer
 * layer's weights are a frozen copy of the original ones.
 */
export function trainsAt(plan: Plan, position: number): boolean {
  const layer = plan.source[position]!;
  if (!plan.transferLayers.includes(layer)) return false;
  const shallow = plan.source.length === plan.kept.length;
  return shallow || layer === position;
}
