// Bottleneck adapters, inserted into the transfer layers.
import type { Random } from '../../data/index.ts';
import type { AdapterKind, Change } from './adapter.ts';
import { direct } from './direct.ts';
import { uniform } from './start.ts';

/** The maps whose outputs join the hidden states: every family calls them so (`model/family.ts`). */
const maps = ['output', 'down'] as const;

/**
 * Bottlenecks (arXiv 1902.00751), x + fc2(relu(fc1(x))), behind the last linear map of attention and MLP, before norms and
 * sums: where Offsite-Tuning's and CRaSh's public code has them, by the names that it gives them, but without dropout. The
 * second map starts as zeros, so that the first model is the model's own.
 */
export const bottleneck = (size: number): AdapterKind => ({
  changes(architecture, layer) {
    const { hidden } = architecture;
    const bound = 1 / Math.sqrt(hidden);
    const slots = architecture.block(layer);
    return maps.flatMap((map) => {
      const path = `${slots[map]!.name.replace(/\.weight$/, '')}.adapter`;
      return [
        inserted(`${map}Down`, `${path}.fc1.weight`, [size, hidden], bound),
        inserted(`${map}DownBias`, `${path}.fc1.bias`, [size], bound),
        inserted(`${map}Up`, `${path}.fc2.weight`, [hidden, size]),
        inserted(`${map}UpBias`, `${path}.fc2.bias`, [hidden]),
      ];
    });
  },
  files: () => ({}),
});

/** @param bound of the first values; zeros when absent */
function inserted(slot: string, name: string, shape: readonly number[], bound?: number): Change {
  const count = shape.reduce((a, b) => a * b, 1);
  const start = (_: Float32Array, random: Random) => [
    bound === undefined ? new Float32Array(count) : uniform(random, count, bound),
  ];
  return { ...direct(slot, { name, shape }), inserted: { scaled: bound === undefined }, start };
}
