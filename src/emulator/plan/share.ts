// Weight sharing: what runs in the place of a dropped layer, if anything does.

export type Sharing = 'nearest' | 'cluster' | 'none';

/**
 * The layer whose weights each position of the emulator runs. `nearest`: the nearest kept layer, ties to the right (the
 * published code); `cluster`: the kept layer of the position's own cluster (the paper's text); `none`: only the kept
 * layers, so that the emulator is as shallow as they are many.
 */
export function shareLayers(
  clusters: readonly (readonly number[])[],
  kept: readonly number[],
  sharing: Sharing,
): number[] {
  if (sharing === 'none') return [...kept];
  const positions = clusters.flat();
  if (sharing === 'nearest') return positions.map((position) => nearest(kept, position));
  return clusters.flatMap((cluster) => cluster.map(() => cluster.find((layer) => kept.includes(layer))!));
}

/** The nearest of the kept layers, ties to the right. */
export function nearest(kept: readonly number[], position: number): number {
  return kept.reduce((best, layer) =>
    Math.abs(layer - position) <= Math.abs(best - position) ? layer : best,
  );
}

/** Every layer with the kept layer nearest to it: the clusters of kept layers that were not chosen by clusters. */
export function clustersAround(kept: readonly number[], depth: number): number[][] {
  const positions = Array.from({ length: depth }, (_, position) => position);
  return kept.map((layer) => positions.filter((position) => nearest(kept, position) === layer));
}
