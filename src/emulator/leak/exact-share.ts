// How much of the full model's weights a bundle holds bit by bit.

/** How much of the full model a bundle gives away, as shares from 0 to 1. */
export interface ExactShare {
  /** Of the model's tensors, those that the bundle holds exactly. */
  readonly tensors: number;
  /** The same, counted by parameters. */
  readonly parameters: number;
}

/** @param model the full model's tensors by name with their shapes; @param held the names that the bundle holds bit by bit. */
export function exactShare(
  model: Iterable<{ readonly name: string; readonly shape: readonly number[] }>,
  held: ReadonlySet<string>,
): ExactShare {
  let tensors = 0;
  let parameters = 0;
  let heldTensors = 0;
  let heldParameters = 0;
  for (const { name, shape } of model) {
    const size = shape.reduce((product, length) => product * length, 1);
    tensors += 1;
    parameters += size;
    if (!held.has(name)) continue;
    heldTensors += 1;
    heldParameters += size;
  }
  return { tensors: heldTensors / tensors, parameters: heldParameters / parameters };
}
