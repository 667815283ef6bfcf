// The choice of the transfer layers: those that the data owner trains.
import { badSpec } from '../../api/index.ts';

/** How many transfer layers, spread over the kept ones, or which. */
export type TransferChoice = { readonly count: number } | { readonly layers: readonly number[] };

/**
 * The transfer layers, ascending: kept[ceil(i (K-1) / (count-1))], which gives the published lists of OPT-1.3B and
 * OPT-6.7B, or the listed ones. BadSpec for more than are kept and for layers that are not kept.
 */
export function transferLayers(kept: readonly number[], choice: TransferChoice): number[] {
  return 'layers' in choice ? listed(kept, choice.layers) : spread(kept, choice.count);
}

function spread(kept: readonly number[], count: number): number[] {
  if (count < 1 || count > kept.length)
    throw badSpec(
      `spec.transferLayers.count is ${count}, but ${kept.length} layers are kept; use 1 to ${kept.length}, or keep more layers`,
    );
  if (count === 1) return [kept[0]!];
  return Array.from({ length: count }, (_, i) => kept[Math.ceil((i * (kept.length - 1)) / (count - 1))]!);
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
