// An emulator's architecture: which block runs at which position, and the tensors that this takes.
import {
  type Architecture,
  type BlockShape,
  type PlacedBlock,
  type Slot,
  type Slots,
  slotsIn,
} from '../../model/index.ts';
import { type Plan, trainsAt } from './plan.ts';

/** What an emulator is made of: blocks by name, and which of them runs at each position. */
export interface Layout {
  readonly positions: readonly Position[];
  readonly blocks: Readonly<Record<string, Block>>;
}

export interface Position {
  readonly block: string;
  /** Whether what is trained stands here; elsewhere a block stays as it was made. */
  readonly trains: boolean;
}

/** Weights of their own in the bundle. */
export interface Block {
  /** The layer of the full model that it stands for, and whose tensors' names it has. */
  readonly of: number;
  /** Of a block that was made of the layer; absent for the layer itself. */
  readonly shape?: BlockShape;
}

/** The shapes of the kept layers that are held in another way than the full model has them, by layer. */
export type Shapes = ReadonlyMap<number, BlockShape>;

/** The layout of a plan: each kept layer is a block, exactly as it is in the full model, or in a shape of its own. */
export function layoutOf(plan: Plan, shapes: Shapes = new Map()): Layout {
  const block = (of: number): Block => {
    const shape = shapes.get(of);
    return shape === undefined ? { of } : { of, shape };
  };
  return {
    positions: plan.source.map((layer, position) => ({
      block: String(layer),
      trains: trainsAt(plan, position),
    })),
    blocks: Object.fromEntries(plan.kept.map((layer) => [String(layer), block(layer)])),
  };
}

/** What each position runs. */
export const placedBlocks = (architecture: Architecture, { positions, blocks }: Layout): PlacedBlock[] =>
  positions.map(({ block: name }) => {
    const block = blocks[name]!;
    return { layer: block.of, name, slots: slotsOf(architecture, block) };
  });

/** The one position at which a layer trains. */
export const trainedPosition = (layout: Layout, layer: number): number =>
  layout.positions.findIndex(({ block, trains }) => trains && layout.blocks[block]!.of === layer);

/** The shape in which a kept layer is held; undefined for the layer itself. */
export const shapeIn = ({ blocks }: Layout, layer: number): BlockShape | undefined =>
  Object.values(blocks).find(({ of }) => of === layer)?.shape;

/** What a block of the layout runs. */
export const slotsOf = (architecture: Architecture, { of, shape }: Block): Slots =>
  slotsIn(architecture, of, shape);

/** The unique tensors of a bundle: embedding, blocks, final norm and head. */
export function tensorSlots(architecture: Architecture, { blocks }: Layout): Slot[] {
  const slots: Slot[] = [
    architecture.embedding,
    ...Object.values(architecture.embedder?.slots ?? {}),
    ...Object.values(blocks).flatMap((block) => Object.values(slotsOf(architecture, block))),
    ...Object.values(architecture.head),
  ];
  return [...new Map(slots.map((slot) => [slot.name, slot])).values()];
}
