// Layer selection by position alone, which any other strategy must beat.
import type { Strategy } from '../plan/plan.ts';
import { clustersAround } from '../plan/share.ts';

/** The baseline: evenly spaced layers stay. It looks at no similarity. */
export const uniform: Strategy = ({ adjacent }, count) => {
  const depth = adjacent.length + 1;
  const kept = keepUniform(depth, count);
  return { clusters: clustersAround(kept, depth), kept };
};

/** `count` of `depth` layers evenly spaced with both ends, halves rounded up; one alone is the middle layer. */
export function keepUniform(depth: number, count: number): number[] {
  if (count === 1) return [Math.floor(depth / 2)];
  return Array.from({ length: count }, (_, i) => Math.floor((i * (depth - 1)) / (count - 1) + 0.5));
}
