// How much of the full model's weights a bundle holds bit by bit.
import type { TensorInfo } from '../../checkpoint/index.ts';
import type { Model } from '../../model/index.ts';

/** How much of the full model a bundle gives away, as shares from 0 to 1. */
export interface ExactShare {
  /** Of the model's tensors, those that the bundle holds exactly. */
  readonly tensors: number;
  /** The same, counted by parameters; those too that it holds of a tensor in part. */
  readonly parameters: number;
}

/** Those that shares are of: what lies beside them in its files would make any share as small as its maker likes. */
export const tensorsThatRun = ({ tensors, named }: Pick<Model, 'tensors' | 'named'>): TensorInfo[] =>
  [...tensors.values()].filter(({ name }) => named.has(name));

/**
 * @param model the full model's tensors by name with their shapes
 * @param held the names that the bundle holds bit by bit
 * @param parts of those that it holds in part, how many parameters
 */
export function exactShare(
  model: Iterable<{ readonly name: string; readonly shape: readonly number[] }>,
  held: ReadonlySet<string>,
  parts: ReadonlyMap<string, number> = new Map(),
): ExactShare {
  let tensors = 0;
  let parameters = 0;
  let heldTensors = 0;
  let heldParameters = 0;
  for (const { name, shape } of model) {
    const size = shape.reduce((product, length) => product * length, 1);
    tensors += 1;
    parameters += size;
    if (!held.has(name)) {
      heldParameters += parts.get(name) ?? 0;
      continue;
    }
    heldTensors += 1;
    heldParameters += size;
  }
  return { tensors: heldTensors / tensors, parameters: heldParameters / parameters };
}
