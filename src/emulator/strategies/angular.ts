// Layer selection by block influence, after ShortGPT.
import type { Strategy } from '../plan/plan.ts';
import { clustersAround } from '../plan/share.ts';

/** ShortGPT (arXiv 2403.03853): the layers that turn the hidden states most stay; of equal ones the lowest. */
export const angular: Strategy = ({ influence }, count) => {
  if (influence === undefined) throw new Error('block influence was not observed');
  const kept = influence
    .map((value, layer) => ({ value, layer }))
    .sort((a, b) => b.value - a.value || a.layer - b.layer)
    .slice(0, count)
    .map(({ layer }) => layer)
    .sort((a, b) => a - b);
  return { clusters: clustersAround(kept, influence.length), kept };
};
