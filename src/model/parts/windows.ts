// Sliding-window attention: which layers have it, by configuration.
import { z } from 'zod';
import { listOf } from '../../api/index.ts';

export const windowFields = {
  sliding_window: z.int().positive().nullish(),
  layer_types: listOf(z.enum(['full_attention', 'sliding_attention'])).nullish(),
};

/** Which layers see only a window of the last tokens, as `layer_types` of config.json names them. */
export type WindowKind = 'full_attention' | 'sliding_attention';

/** The kind of each layer: as `layer_types` says where it is given, else by a family's own rule. */
export function windowKinds(
  { layer_types: written }: { layer_types?: readonly WindowKind[] | null | undefined },
  slides: (layer: number) => boolean,
): (layer: number) => WindowKind {
  return (layer) => written?.[layer] ?? (slides(layer) ? 'sliding_attention' : 'full_attention');
}
