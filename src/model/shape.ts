// Blocks that are not their family's own: fewer heads and channels, linear maps as factors or codes, biases that the family lacks.
import { badModel } from '../api/index.ts';
import type { Architecture, Slot, Slots } from './family.ts';
import type { Quantisation } from './quantised.ts';
import { type Cut, elementsOf, type Kept, type Unit, type Widths } from './widths.ts';

/** How a linear map is held; `factors`: as a product of two narrower ones; `quantised`: as codes of few bits. */
export type MapForm =
  | { readonly is: 'factors'; readonly rank: number }
  | ({ readonly is: 'quantised' } & Quantisation);

/** What of a block is other than in its family; what is not named is as it is there. */
export interface BlockShape {
  /** By the slot of the linear map. */
  readonly maps?: Readonly<Record<string, MapForm>>;
  /** The linear maps, by slot, that have a bias which the family's block lacks. */
  readonly biases?: readonly string[];
  /** What there are fewer of; each tensor keeps its name. */
  readonly widths?: Partial<Widths>;
  /** Which ones stay of that; without it nothing can be put beside the block that is to fit the whole one. */
  readonly kept?: Partial<Kept>;
}

/** The outputs or inputs of a linear map that a narrower block has. */
export interface Staying {
  readonly side: Cut['side'];
  /** By their numbers in the whole map, ascending. */
  readonly elements: readonly number[];
}

/**
 * What stays of a linear map in a narrower block; undefined where it is as large as ever.
 * @throws OffsiteError BadModel where the shape does not say which heads or channels stay
 */
export function stayingIn(
  { widths: whole, cuts }: Architecture,
  slot: string,
  { widths = {}, kept = {} }: BlockShape,
): Staying | undefined {
  const cut = cuts[slot];
  const fewer = (unit: Unit) => (widths[unit] ?? whole[unit]) < whole[unit];
  if (!cut?.runs.some(({ of }) => fewer(of))) return undefined;
  const units = (unit: Unit): readonly number[] => {
    if (fewer(unit) && kept[unit] === undefined)
      throw badModel(
        `emulator.json: does not say which ${unit} of a layer are kept, and nothing can be trained beside it; build the emulator again`,
      );
    return kept[unit] ?? Array.from({ length: whole[unit] }, (_, i) => i);
  };
  const all = { heads: units('heads'), groups: units('groups'), inner: units('inner') };
  return { side: cut.side, elements: elementsOf(cut, whole, all) };
}

/** The slots that a layer has in a shape. */
export const slotsIn = (architecture: Architecture, layer: number, shape: BlockShape = {}): Slots =>
  shapedSlots(architecture.block(layer, shape.widths), shape);

/**
 * The slots of a block of a shape, of those that it has by its widths. A map y = W x as factors is y = Left (Right x), in the slots `<slot>Left` [to, rank] and
 * `<slot>Right` [rank, from], whichever way round W itself is stored. One as codes
 * keeps its slot.
 */
export function shapedSlots(slots: Slots, { maps = {}, biases = [] }: BlockShape): Slots {
  const shaped: [string, Slot][] = [];
  for (const [slot, own] of Object.entries(slots)) {
    shaped.push(...heldAs(slot, own, maps[slot]));
    if (biases.includes(slot)) shaped.push([`${slot}Bias`, biasSlot(own)]);
  }
  return Object.fromEntries(shaped);
}

/** Outputs and inputs of a linear map. */
export function mapSize({ shape, transposed }: Slot): { to: number; from: number } {
  const [rows, columns] = shape as [number, number];
  return transposed ? { to: columns, from: rows } : { to: rows, from: columns };
}

/** The slots of the linear maps among a block's. */
export const linearMaps = (slots: Slots): [slot: string, map: Slot][] =>
  Object.entries(slots).filter(([, { shape }]) => shape.length === 2);

function heldAs(slot: string, own: Slot, form: MapForm | undefined): [string, Slot][] {
  if (form === undefined) return [[slot, own]];
  if (form.is === 'factors') return factorSlots(slot, own, form.rank);
  return [[slot, { ...own, quantised: { bits: form.bits, group: form.group } }]];
}

function factorSlots(slot: string, own: Slot, rank: number): [string, Slot][] {
  const { to, from } = mapSize(own);
  const path = pathOf(own);
  return [
    [`${slot}Left`, { name: `${path}.left.weight`, shape: [to, rank] }],
    [`${slot}Right`, { name: `${path}.right.weight`, shape: [rank, from] }],
  ];
}

const biasSlot = (map: Slot): Slot => ({ name: `${pathOf(map)}.bias`, shape: [mapSize(map).to] });

/** Whether a slot is the factor that a linear map's input meets first, which makes it as narrow as the rank. */
export const isNarrow = (slots: Slots, slot: string): boolean =>
  slot.endsWith('Right') && slot.replace(/Right$/, 'Left') in slots;

/** The module that a weight belongs to. */
const pathOf = ({ name }: Slot) => name.replace(/\.weight$/, '');
