// What one pass over the probe's rows finds beside pooled states: of each layer, and of each of its linear maps.

/** What a pass may observe: each has all before it with it. */
export const observationNames = ['influence', 'inputs', 'gradients'] as const;
export type ObservationName = (typeof observationNames)[number];

/** The one of some observations that has all of them with it; undefined for none. */
export const highestOf = (names: readonly ObservationName[]): ObservationName | undefined =>
  observationNames.findLast((name) => names.includes(name));

/** Whether an observation has another one with it. */
export const includes = (observed: ObservationName, name: ObservationName): boolean =>
  observationNames.indexOf(observed) >= observationNames.indexOf(name);

/** Moments of a linear map's inputs x over all tokens of the probe's rows that are not padding. */
export interface InputMoments {
  readonly tokens: number;
  /** E[x], [from]. */
  readonly mean: Float64Array;
  /** E[x x^T], not centred, [from, from], row-major. */
  readonly second: Float64Array;
}

/** Gradients at a linear map, of the mean cross-entropy of the probe's target tokens. */
export interface MapGradients {
  /** E[g g^T] over the same tokens, g = dL/dy of the map's output y, [to, to], row-major. */
  readonly outputs: Float64Array;
  /** dL/dW, [to, from], row-major, however the map is stored. */
  readonly weight: Float64Array;
}

/** What was observed, by layer of the full model and by the linear map's slot; read from disk, one layer in memory. */
export interface Observations {
  /** @throws OffsiteError BadModel where the file is damaged; Error where no inputs were observed, or the slot is no map */
  inputs(layer: number, slot: string): InputMoments;
  /** @throws OffsiteError BadModel where the file is damaged; Error where no gradients were observed, or the slot is no map */
  gradients(layer: number, slot: string): MapGradients;
}

/** Where nothing was observed, since nothing needs it. */
export const nothingObserved: Observations = {
  inputs: () => {
    throw new Error('no inputs were observed');
  },
  gradients: () => {
    throw new Error('no gradients were observed');
  },
};
