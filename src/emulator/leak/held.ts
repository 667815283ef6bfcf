// What a bundle holds of the model's tensors: bit by bit, or something in a matrix' place.
import type { Model, Slot } from '../../model/index.ts';
import { type Layout, slotsOf, tensorSlots } from '../plan/layout.ts';
import type { Held } from './subspace.ts';

type Tensors = Pick<Model, 'architecture' | 'tensors' | 'read'>;

/**
 * The names of the tensors that a bundle holds bit by bit. A layer that was taken as it is has the model's own; of a block with a
 * shape each tensor is compared.
 */
export function exactTensors(model: Tensors, bundle: Tensors, layout: Layout): ReadonlySet<string> {
  const { architecture } = model;
  const names = new Set(tensorSlots(architecture, layout).map(({ name }) => name));
  for (const block of Object.values(layout.blocks)) {
    if (block.shape === undefined) continue;
    for (const { name } of Object.values(slotsOf(architecture, block)))
      if (!isSame(name, model, bundle)) names.delete(name);
  }
  return names;
}

function isSame(name: string, a: Tensors, b: Tensors): boolean {
  const shapes = [a, b].map(({ tensors }) => tensors.get(name)?.shape.join());
  if (shapes[0] === undefined || shapes[0] !== shapes[1]) return false;
  const [values, others] = [a.read(name), b.read(name)];
  return values.every((value, i) => value === others[i]);
}

/** What of a matrix stands in a bundle that does not hold it bit by bit. */
export const heldIn =
  ({ tensors, read }: Tensors) =>
  ({ name, shape }: Slot): Held => {
    if (tensors.get(name)?.shape.join() === shape.join()) return { values: read(name) };
    const [left, right] = ['left', 'right'].map((side) => `${name.replace(/\.weight$/, '')}.${side}.weight`);
    if (!tensors.has(left!) || !tensors.has(right!)) return 'nothing';
    return { left: read(left!), right: read(right!) };
  };
