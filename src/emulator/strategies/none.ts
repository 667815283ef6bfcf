// No layer is removed; what protects the model is what they become.
import type { Strategy } from '../plan/plan.ts';

/** Every layer stands for itself. */
export const none: Strategy = ({ adjacent }) => {
  const kept = Array.from({ length: adjacent.length + 1 }, (_, layer) => layer);
  return { clusters: kept.map((layer) => [layer]), kept };
};
