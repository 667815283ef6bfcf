// The outcome of layer selection: which layers are kept, which of them train, and where each runs.
import { badSpec } from '../../api/index.ts';

/** Which layers of the full model the emulator holds and where it runs them; layers are counted from 0. */
export interface Plan {
  /** Every layer once, neighbours together. */
  readonly clusters: number[][];
  readonly kept: number[];
  /** Those that the bundle holds exactly, for training; none where an adapter beside the maps of every kept layer trains. */
  readonly transferLayers: number[];
  /** source[i]: the layer whose weights position i runs. */
  readonly source: number[];
}

/** What strategies choose by; what a strategy does not need may be absent. */
export interface Evidence {
  /** The L-1 similarities of neighbouring layers. */
  readonly adjacent: readonly number[];
  /** Block influence of each layer. */
  readonly influence?: readonly number[] | undefined;
  /** Layers in the order in which they were left out, at least as many as are not kept. */
  readonly removed?: readonly number[] | undefined;
}

/** Chooses the kept layers, and the clusters that they stand for. */
export type Strategy = (found: Evidence, count: number) => Pick<Plan, 'clusters' | 'kept'>;

/** @throws OffsiteError BadSpec where more layers are to be kept than there are */
export function checkKept(layers: number, depth: number): void {
  if (layers < 1 || layers > depth)
    throw badSpec(`spec.layers is ${layers}, but the model has ${depth} layers; use 1 to ${depth}`);
}

/** The layers that an adapter sits on, ascending: the transfer layers, or every kept one where there are none. */
export const trainedLayers = ({
  kept,
  transferLayers,
}: Pick<Plan, 'kept' | 'transferLayers'>): readonly number[] =>
  transferLayers.length > 0 ? transferLayers : kept;

/**
 * Whether position i of the emulator trains: it runs a trained layer at that layer's own place. Elsewhere that layer's
 * weights are a frozen copy of those that the bundle holds.
 */
export function trainsAt(plan: Plan, position: number): boolean {
  const layer = plan.source[position]!;
  if (!trainedLayers(plan).includes(layer)) return false;
  const shallow = plan.source.length === plan.kept.length;
  return shallow || layer === position;
}
