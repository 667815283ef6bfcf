// An emulator's architecture: which block runs at which position, and the tensors that this takes.
import type { Architecture, Slot, Slots } from '../../model/index.ts';
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
}

/** The layout of a plan: each kept layer is a block, exactly as it is in the full model. */
export function layoutOf(plan: Plan): Layout {
  return {
    positions: plan.source.map((layer, position) => ({
      block: String(layer),
      trains: trainsAt(plan, position),
    })),
    blocks: Object.fromEntries(plan.kept.map((layer) => [String(layer), { of: layer }])),
  };
}

/** The layer of the full model that each position stands for. */
export const layersOf = ({ positions, blocks }: Layout): number[] =>
  positions.map(({ block }) => blocks[block]!.of);

/** The one position at which a transfer layer trains. */
export const trainedPosition = (layout: Layout, layer: number): number =>
  layout.positions.findIndex(({ block, trains }) => trains && layout.blocks[block]!.of === layer);

/** What a block of the layout runs. */
export const slotsOf = (architecture: Architecture, { of }: Block): Slots => architecture.block(of);

/** The unique tensors of a bundle: embedding, blocks, final norm and head. */
export function tensorNames(architecture: Architecture, { blocks }: Layout): string[] {
  const slots: Slot[] = [
    architecture.embedding,
    ...Object.values(architecture.embedder?.slots ?? {}),
    ...Object.values(blocks).flatMap((block) => Object.values(slotsOf(architecture, block))),
    ...Object.values(architecture.head),
  ];
  return [...new Set(slots.map(({ name }) => name))];
}
