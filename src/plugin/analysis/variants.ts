// Which variants of the plugged-in model are evaluated, and in which order.
import type { Analysis } from '../../api/index.ts';

/** The plugged-in model, changed a little. */
export type Variant =
  /** theta = (1 - c) full + c plugged. */
  | { readonly kind: 'interpolated'; readonly coefficient: number }
  /** The layer's block is skipped: what goes in comes out. */
  | { readonly kind: 'deleted'; readonly layer: number }
  /** The transfer layer has the full model's own weights. */
  | { readonly kind: 'rewound'; readonly layer: number };

export type VariantKind = Variant['kind'];

/** What the variants are made of. */
export interface Plugged {
  /** Layers of the full model. */
  readonly depth: number;
  readonly transferLayers: readonly number[];
  /** `spec.coefficient`: the plug-in itself is on the line there. */
  readonly coefficient: number;
}

/**
 * All that is to be evaluated, in order: the plug-in itself, which every change is compared with, the line, the deletions,
 * the rewinds; each once.
 */
export function variantsOf({ interpolation, layerImportance }: Analysis, plugged: Plugged): Variant[] {
  const methods = layerImportance?.methods ?? [];
  const layers = methods.includes('delete') ? Array.from({ length: plugged.depth }, (_, layer) => layer) : [];
  const transfer = methods.includes('rewind') ? plugged.transferLayers.toSorted((a, b) => a - b) : [];
  return distinct([
    { kind: 'interpolated', coefficient: plugged.coefficient },
    ...gridOf(interpolation).map((coefficient) => ({ kind: 'interpolated' as const, coefficient })),
    ...layers.map((layer) => ({ kind: 'deleted' as const, layer })),
    ...transfer.map((layer) => ({ kind: 'rewound' as const, layer })),
  ]);
}

/** The places on the line in ascending order, each once: "1" and "1.0" are one. */
export function gridOf(interpolation: Analysis['interpolation']): number[] {
  return [...new Set(interpolation?.coefficients.map((text) => Number(text) + 0))].sort((a, b) => a - b);
}

/** Names a variant among those of one model. */
export const keyOf = (variant: Variant): string =>
  `${variant.kind} ${variant.kind === 'interpolated' ? variant.coefficient : variant.layer}`;

/** How many blocks a token passes. */
export const depthOf = ({ kind }: Variant, { depth }: Plugged): number =>
  kind === 'deleted' ? depth - 1 : depth;

function distinct(variants: readonly Variant[]): Variant[] {
  return [...new Map(variants.map((variant) => [keyOf(variant), variant])).values()];
}
