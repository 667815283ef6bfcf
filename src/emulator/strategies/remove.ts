/** CRaSh: of each cluster the layer at index floor(length / 2) stays. */
export function keepMiddles(clusters: readonly (readonly number[])[]): number[] {
  return clusters.map((cluster) => cluster[Math.floor(cluster.length / 2)]!);
}

/** The baseline: `count` of `depth` layers evenly spaced with both ends, halves rounded up; one alone is the middle layer. */
export function keepUniform(depth: number, count: number): number[] {
  if (count === 1) return [Math.floor(depth / 2)];
  return Array.from({ length: count }, (_, i) => Math.floor((i * (depth - 1)) / (count - 1) + 0.5));
}
