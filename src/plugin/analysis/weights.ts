// How the weights of a variant come out of those of full model and adapter.
import { exactBlocks, type Model, type Overlay, type WeightSource, weightsOf } from '../../model/index.ts';
import type { Variant } from './variants.ts';

export interface VariantOptions {
  readonly model: Model;
  /** The adapter on the line at a coefficient. */
  readonly at: (coefficient: number) => Overlay;
  /** The plug-in's own. */
  readonly coefficient: number;
  /** Bytes of decoded weights that may stay in memory. */
  readonly memory: number;
}

/** The weights of a variant, by position. */
export function weightsOfVariant(
  variant: Variant,
  { model, at, coefficient, memory }: VariantOptions,
): WeightSource {
  switch (variant.kind) {
    case 'interpolated':
      // at 0 an adapter's own modules would compute nothing but zeros
      return weightsOf(model, {
        memory,
        ...(variant.coefficient === 0 ? {} : { overlay: at(variant.coefficient) }),
      });
    case 'deleted': {
      const layers = Array.from({ length: model.architecture.depth }, (_, layer) => layer);
      return weightsOf(model, {
        blocks: exactBlocks(model.architecture, layers.toSpliced(variant.layer, 1)),
        overlay: at(coefficient),
        memory,
      });
    }
    default:
      return weightsOf(model, { overlay: rewound(model, at(coefficient), variant.layer), memory });
  }
}

/** The overlay without what it does to one layer. */
function rewound({ architecture }: Model, overlay: Overlay, layer: number): Overlay {
  const own = new Set(Object.values(architecture.block(layer)).map(({ name }) => name));
  return {
    has: (name) => !own.has(name) && overlay.has(name),
    get: (name, into) => (own.has(name) ? undefined : overlay.get(name, into)),
    inserted: (at) => (at === layer ? {} : (overlay.inserted?.(at) ?? {})),
  };
}
