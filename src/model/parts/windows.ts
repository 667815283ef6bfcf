// Sliding-window attention: which layers have it, by configuration.
import { z } from 'zod';
import { badModel, listOf } from '../../api/index.ts';

/** Of the families whose class has both. */
export const windowFields = {
  sliding_window: z.int().positive().nullable().default(4096),
  layer_types: listOf(z.enum(['full_attention', 'sliding_attention'])).nullish(),
};

/** Which layers see only a window of the last tokens, as `layer_types` of config.json names them. */
export type WindowKind = 'full_attention' | 'sliding_attention';

interface WindowConfig {
  num_hidden_layers: number;
  layer_types?: readonly WindowKind[] | null | undefined;
}

/**
 * The kind of each layer: as `layer_types` says where it is given, else by a family's own rule.
 * @param window the tokens that a layer may see, if it is one with a window; none is to be one when null
 * @throws OffsiteError BadModel where `layer_types` has another number of layers, or names windows that there are not
 */
export function windowKinds(
  { num_hidden_layers: depth, layer_types: written }: WindowConfig,
  window: number | null,
  slides: (layer: number) => boolean,
): (layer: number) => WindowKind {
  if (written && written.length !== depth)
    throw badModel(`config.json: layer_types has ${written.length} layers, num_hidden_layers ${depth}`);
  if (window === null && written?.includes('sliding_attention'))
    throw badModel('config.json: layer_types names layers with a window, and sliding_window switches it off');
  return (layer) =>
    written?.[layer] ?? (window !== null && slides(layer) ? 'sliding_attention' : 'full_attention');
}
