// Layer selection by what is lost without a layer, after SLEB.
import type { Strategy } from '../plan/plan.ts';
import { clustersAround } from '../plan/share.ts';

/** SLEB (arXiv 2402.09025): again and again the layer goes without which the loss is lowest. */
export const sleb: Strategy = ({ adjacent, removed }, count) => {
  const depth = adjacent.length + 1;
  const gone = removed?.slice(0, depth - count);
  if (gone?.length !== depth - count) throw new Error(`${depth - count} layers were not left out`);
  const kept = Array.from({ length: depth }, (_, layer) => layer).filter((layer) => !gone.includes(layer));
  return { clusters: clustersAround(kept, depth), kept };
};
