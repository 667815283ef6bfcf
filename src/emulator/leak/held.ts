// What a bundle holds of the model's tensors: bit by bit, or something in a matrix' place.
import { type Architecture, axisOf, type Model, type Slot, stayingIn } from '../../model/index.ts';
import { type Layout, slotsOf, tensorSlots } from '../plan/layout.ts';
import type { Held } from './subspace.ts';

type Tensors = Pick<Model, 'architecture' | 'tensors' | 'read'>;

/** How the bundle's blocks came from the model's layers. */
export interface Made {
  readonly layout: Layout;
  readonly clusters: readonly (readonly number[])[];
  /** The layers that are nearly another one, by that one (`copiesOf`). */
  readonly copies: ReadonlyMap<number, readonly number[]>;
}

/**
 * What stands in a bundle for each tensor of its blocks' layers may be of the model, by that tensor's name: itself first, then those of
 * the removed layers that were merged into it (with a single one by differences, a layer is that one, and nearly so where it was refined),
 * and those of the layers that are copies of it. The bundle does not have their names.
 */
function originsIn(
  architecture: Architecture,
  { layout, clusters, copies }: Made,
): ReadonlyMap<string, readonly Slot[]> {
  const blocks = Object.values(layout.blocks);
  const kept = new Set(blocks.map(({ of }) => of));
  const mergedInto = (layer: number) =>
    (clusters.find((one) => one.includes(layer)) ?? []).filter((other) => !kept.has(other));
  return new Map(
    blocks.flatMap(({ of, shape }) => {
      const others = new Set([...(shape === undefined ? [] : mergedInto(of)), ...(copies.get(of) ?? [])]);
      const layers = [...others].map((layer) => architecture.block(layer));
      return Object.entries(architecture.block(of)).map(
        ([slot, own]) => [own.name, [own, ...layers.flatMap(({ [slot]: other }) => other ?? [])]] as const,
      );
    }),
  );
}

/**
 * The names of the model's tensors that a bundle holds bit by bit. A layer that was taken as it is has the model's own; each tensor of
 * a block with a shape is compared with what it may be.
 */
export function exactTensors(model: Tensors, bundle: Tensors, made: Made): ReadonlySet<string> {
  const { architecture } = model;
  const names = new Set(tensorSlots(architecture, made.layout).map(({ name }) => name));
  const shaped = Object.values(made.layout.blocks).filter(({ shape }) => shape !== undefined);
  for (const { name } of shaped.flatMap((block) => Object.values(slotsOf(architecture, block))))
    names.delete(name);
  const asTheyAre = new Set(names);
  for (const [held, slots] of originsIn(architecture, made)) {
    const unknown = slots.filter(({ name }) => !asTheyAre.has(name));
    for (const name of sameAs(held, unknown, model, bundle)) names.add(name);
  }
  return names;
}

/**
 * Those too that a bundle will hold by what it is made of: of the layers that are copies of one of its own the tensors that are, bit by
 * bit, what it takes of that one.
 * @param taken the names of the model's tensors that it takes as they are
 */
export function withCopies(model: Tensors, taken: ReadonlySet<string>, made: Made): ReadonlySet<string> {
  const names = new Set(taken);
  for (const [held, [, ...others]] of originsIn(model.architecture, made)) {
    if (!taken.has(held)) continue;
    const unknown = others.filter(({ name }) => !taken.has(name));
    for (const name of sameAs(held, unknown, model, model)) names.add(name);
  }
  return names;
}

/** Those of the model's tensors whose values a tensor of the bundle has, which is read once. */
function sameAs(held: string, candidates: readonly Slot[], model: Tensors, bundle: Tensors): string[] {
  const names = candidates.map(({ name }) => name).filter((name) => isInShape(model, name, bundle, held));
  if (names.length === 0) return [];
  const values = bundle.read(held);
  return names.filter((name) => model.read(name).every((value, i) => value === values[i]));
}

function isInShape(model: Tensors, name: string, bundle: Tensors, held: string): boolean {
  const shape = model.tensors.get(name)?.shape.join();
  return shape !== undefined && shape === bundle.tensors.get(held)?.shape.join();
}

/**
 * How many parameters of the tensors that a bundle holds in part are the model's bit by bit; by name. Of narrower blocks, and of what
 * stands in a whole tensor's place: codes stand for some numbers exactly, and what was trained on is rounded back.
 * @param exact those that it holds as a whole
 */
export function exactParts(
  model: Tensors,
  bundle: Tensors,
  { exact, ...made }: Made & { exact: ReadonlySet<string> },
): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  const narrower = partsIn(bundle, made.layout);
  for (const [held, slots] of originsIn(model.architecture, made)) {
    const part = narrower.get(held);
    const names = slots
      .map(({ name }) => name)
      .filter((name) => !exact.has(name) && (part !== undefined || isInShape(model, name, bundle, held)));
    if (names.length === 0) continue;
    const values = bundle.read(held);
    const places = part && placesOf(part);
    for (const name of names)
      counts.set(name, Math.max(counts.get(name) ?? 0, sameNumbers(values, model.read(name), places)));
  }
  return counts;
}

/** @param places where each value lies in the whole; as they stand when absent */
const sameNumbers = (values: Float32Array, whole: Float32Array, places?: Uint32Array): number =>
  values.reduce((same, value, i) => same + Number(value === whole[places?.[i] ?? i]), 0);

/**
 * What stands in a bundle for a matrix that it does not hold bit by bit: under its own name, and under that of each layer that may be
 * the matrix' own. What a narrower block has of it is among zeros.
 */
export function heldIn(bundle: Tensors, made: Made): (slot: Slot) => Held[] {
  const { architecture, tensors, read } = bundle;
  const narrower = partsIn(bundle, made.layout);
  const origins = [...originsIn(architecture, made)];
  const heldAs = (name: string, { shape }: Slot): Held[] => {
    const part = narrower.get(name);
    if (part !== undefined) {
      const values = new Float32Array(shape.reduce((a, b) => a * b, 1));
      const places = placesOf(part);
      read(name).forEach((value, i) => {
        values[places[i]!] = value;
      });
      return [{ values }];
    }
    if (tensors.get(name)?.shape.join() === shape.join()) return [{ values: read(name) }];
    const [left, right] = ['left', 'right'].map((side) => `${name.replace(/\.weight$/, '')}.${side}.weight`);
    if (!tensors.has(left!) || !tensors.has(right!)) return [];
    return [{ left: read(left!), right: read(right!) }];
  };
  return (slot) =>
    origins
      .filter(([, slots]) => slots.some(({ name }) => name === slot.name))
      .flatMap(([held]) => heldAs(held, slot));
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
