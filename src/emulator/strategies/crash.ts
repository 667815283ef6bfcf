// Layer selection by similarity, after CRaSh.
import type { Strategy } from '../plan/plan.ts';

/** CRaSh (arXiv 2310.15477): layers that are alike are clustered, and the middle one of each stays. */
export const crash: Strategy = ({ adjacent }, count) => {
  const clusters = clusterLayers(adjacent, count);
  return { clusters, kept: keepMiddles(clusters) };
};

/**
 * `count` clusters of neighbouring layers, from the L-1 adjacent similarities (entry j: layers j and j+1).
 * Merging again and again the neighbouring pair whose touching layers are most similar (ties to the lowest index) never
 * changes a touching value, so what is left is the count-1 lowest values as boundaries, ties kept at the highest index.
 */
export function clusterLayers(adjacent: readonly number[], count: number): number[][] {
  const depth = adjacent.length + 1;
  const mergeOrder = adjacent
    .map((value, index) => ({ value, index }))
    .sort((a, b) => b.value - a.value || a.index - b.index);
  const boundaries = new Set(mergeOrder.slice(depth - count).map(({ index }) => index));
  const clusters: number[][] = [[]];
  for (let layer = 0; layer < depth; layer++) {
    clusters.at(-1)!.push(layer);
    if (boundaries.has(layer)) clusters.push([]);
  }
  return clusters;
}

/** Of each cluster the layer at index floor(length / 2) stays. */
export function keepMiddles(clusters: readonly (readonly number[])[]): number[] {
  return clusters.map((cluster) => cluster[Math.floor(cluster.length / 2)]!);
}
