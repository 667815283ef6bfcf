// Adapters whose tensors are the model's own weights: whole layers, biases, the head.
import { badSpec } from '../../api/index.ts';
import type { Architecture, Slot } from '../../model/index.ts';
import type { AdapterKind, Change } from './adapter.ts';

/** The transfer layers' own weights are trained, and come back in full by their names in the full model. */
export const layers: AdapterKind = {
  changes: (architecture, layer) =>
    Object.entries(architecture.block(layer)).map(([slot, weight]) => direct(slot, weight)),
  files: () => ({}),
};

/** BitFit (arXiv 2106.10199): only the biases are trained. */
export const bitfit: AdapterKind = {
  changes(architecture, layer) {
    const biases = Object.entries(architecture.block(layer)).filter(([, { name }]) => name.endsWith('.bias'));
    if (biases.length === 0)
      throw badSpec(`spec.adapter.type: bitfit trains biases, and a ${architecture.family} layer has none`);
    return biases.map(([slot, weight]) => direct(slot, weight));
  },
  files: () => ({}),
};

/** The head's own weight; one that is tied to the embedding is no longer, and the embedding stays as it is. */
export const wholeHead = ({ head: { head } }: Architecture): Change =>
  direct('head', { ...head!, name: head!.untied ?? head!.name });

/** A weight that is trained itself. */
export const direct = (slot: string, { name, shape }: Slot): Change => ({
  slot,
  name,
  tensors: [{ name, shape }],
  whole: true,
  start: (weight) => [weight],
  weight: ([values]) => values as Float32Array,
  gradients: (_, gradient) => [gradient],
});
