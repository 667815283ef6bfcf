// The choice of the transfer layers: those that the data owner trains.
import { badSpec } from '../../api/index.ts';

/** Which of the kept layers a count takes. */
export type Placement = keyof typeof placements;

/** How many transfer layers and where among the kept ones (`spread` when absent), or which. */
export type TransferChoice =
  | { readonly count: number; readonly placement?: Placement | undefined }
  | { readonly layers: readonly number[] };

/** The layers of each placement; `count` is 1 to the number of kept layers. */
const placements = {
  /** kept[ceil(i (K-1) / (count-1))], which gives the published lists of OPT-1.3B and OPT-6.7B; one alone is the first. */
  spread: (kept: readonly number[], count: number) =>
    Array.from(
      { length: count },
      (_, i) => kept[count === 1 ? 0 : Math.ceil((i * (kept.length - 1)) / (count - 1))]!,
    ),
  /** Offsite-Tuning's (arXiv 2302.04870): at the bottom and at the top, of an odd count one more at the bottom. */
  ends: (kept: readonly number[], count: number) => {
    const bottom = Math.ceil(count / 2);
    return [...kept.slice(0, bottom), ...kept.slice(kept.length - (count - bottom))];
  },
  top: (kept: readonly number[], count: number) => kept.slice(kept.length - count),
};

/**
 * The transfer layers, ascending: those of the placement, none for a count of 0, or the listed ones. BadSpec for more than
 * are kept and for layers that are not kept.
 */
export function transferLayers(kept: readonly number[], choice: TransferChoice): number[] {
  return 'layers' in choice ? listed(kept, choice.layers) : placed(kept, choice);
}

function placed(
  kept: readonly number[],
  { count, placement = 'spread' }: Extract<TransferChoice, { count: number }>,
): number[] {
  if (count < 0 || count > kept.length)
    throw badSpec(
      `spec.transferLayers.count is ${count}, but ${kept.length} layers are kept; use 0 to ${kept.length}, or keep more layers`,
    );
  return count === 0 ? [] : placements[placement](kept, count);
}

function listed(kept: readonly number[], layers: readonly number[]): number[] {
  const foreign = layers.filter((layer) => !kept.includes(layer));
  if (foreign.length > 0)
    throw badSpec(
      `spec.transferLayers.layers: ${foreign.join(', ')} not among the kept layers (${kept.join(', ')}); choose of these`,
    );
  if (layers.length === 0) throw badSpec('spec.transferLayers.layers is empty; name at least one kept layer');
  if (new Set(layers).size < layers.length) throw badSpec('spec.transferLayers.layers names a layer twice');
  return layers.toSorted((a, b) => a - b);
}
