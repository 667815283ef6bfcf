// What a bundle holds of the model's tensors: bit by bit, or something in a matrix' place.
import { axisOf, type Model, type Slot, stayingIn } from '../../model/index.ts';
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

/**
 * How many parameters of the tensors that a bundle holds in part, of narrower blocks, are the model's bit by bit; by name. A map that
 * was refitted has none.
 */
export function exactParts(model: Tensors, bundle: Tensors, layout: Layout): ReadonlyMap<string, number> {
  return new Map(
    [...partsIn(bundle, layout)].map(([name, part]) => {
      const [values, whole] = [bundle.read(name), model.read(name)];
      const places = placesOf(part);
      return [name, values.reduce((same, value, i) => same + Number(value === whole[places[i]!]), 0)];
    }),
  );
}

/** What of a matrix stands in a bundle that does not hold it bit by bit; what a narrower block has of it is among zeros. */
export function heldIn(bundle: Tensors, layout: Layout): (slot: Slot) => Held {
  const { tensors, read } = bundle;
  const narrower = partsIn(bundle, layout);
  return ({ name, shape }) => {
    if (tensors.get(name)?.shape.join() === shape.join()) return { values: read(name) };
    const part = narrower.get(name);
    if (part !== undefined) {
      const values = new Float32Array(shape.reduce((a, b) => a * b, 1));
      const places = placesOf(part);
      read(name).forEach((value, i) => {
        values[places[i]!] = value;
      });
      return { values };
    }
    const [left, right] = ['left', 'right'].map((side) => `${name.replace(/\.weight$/, '')}.${side}.weight`);
    if (!tensors.has(left!) || !tensors.has(right!)) return 'nothing';
    return { left: read(left!), right: read(right!) };
  };
}

/** The rows (axis 0) or columns (axis 1) of a tensor of the model that a narrower block has. */
interface Part {
  readonly whole: Slot;
  readonly axis: number;
  readonly elements: readonly number[];
}

/** By the tensor's name. */
function partsIn({ architecture, tensors }: Tensors, layout: Layout): ReadonlyMap<string, Part> {
  const parts = new Map<string, Part>();
  for (const { of, shape } of Object.values(layout.blocks)) {
    if (shape?.widths === undefined) continue;
    const slots = architecture.block(of);
    for (const [slot, cut] of Object.entries(architecture.cuts)) {
      const staying = stayingIn(architecture, slot, shape);
      if (staying === undefined) continue;
      for (const one of cut.side === 'to' ? [slot, `${slot}Bias`] : [slot]) {
        const whole = slots[one];
        if (whole !== undefined && tensors.has(whole.name))
          parts.set(whole.name, { whole, axis: axisOf(cut, whole), elements: staying.elements });
      }
    }
  }
  return parts;
}

/** Where each number of the part lies in the whole tensor, row-major. */
function placesOf({ whole: { shape }, axis, elements }: Part): Uint32Array {
  const [rows, columns = 1] = shape as [number, number?];
  const width = axis === 0 ? columns : elements.length;
  const height = axis === 0 ? elements.length : rows;
  return Uint32Array.from({ length: height * width }, (_, i) => {
    const [row, column] = [Math.floor(i / width), i % width];
    return axis === 0 ? elements[row]! * columns + column : row * columns + elements[column]!;
  });
}
