// Removed layers merged into the kept layer that stands for them.
import { badSpec } from '../../api/index.ts';
import type { Slot } from '../../model/index.ts';
import type { Plan } from '../plan/plan.ts';
import type { Compression } from './compression.ts';

/**
 * LaCo's merge (arXiv 2402.11187): each kept layer l becomes theta_l + the sum over the removed layers k of its cluster of (theta_k -
 * theta_l), in every tensor. A layer that stands for itself alone stays as it is.
 */
export const laco: Compression<unknown> = {
  needs: () => [],

  async plan(layers, { plan }) {
    return new Map(layers.filter((layer) => mergedInto(plan, layer).length > 0).map((layer) => [layer, {}]));
  },

  async derive(layer, _, { model, plan, engine }) {
    const merged = new Map<string, Float32Array>();
    for (const [slot, own] of Object.entries(model.architecture.block(layer))) {
      engine.throwIfCancelled();
      const before = model.read(own.name);
      // In float64, rounded once: the order of layers says nothing then.
      const sum = Float64Array.from(before);
      for (const other of mergedInto(plan, layer)) {
        const theirs = tensorOf(model.architecture.block(other)[slot], own, { layer, other });
        model.read(theirs.name).forEach((value, i) => {
          sum[i]! += value - before[i]!;
        });
      }
      merged.set(slot, Float32Array.from(sum));
    }
    return merged;
  },
};

/** The removed layers of a kept one's cluster. */
function mergedInto({ clusters, kept }: Plan, layer: number): number[] {
  return clusters.find((cluster) => cluster.includes(layer))!.filter((other) => !kept.includes(other));
}

/** @throws OffsiteError BadSpec where two layers are of other shapes */
function tensorOf(theirs: Slot | undefined, own: Slot, at: { layer: number; other: number }): Slot {
  if (theirs === undefined || theirs.shape.join() !== own.shape.join())
    throw badSpec(
      `spec.compression.type: laco cannot merge layer ${at.other} into layer ${at.layer}, whose tensor ${own.name} it has in no such shape; use another compression`,
    );
  return theirs;
}
