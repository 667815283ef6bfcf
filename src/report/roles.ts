// An emulator's plan in a reader's words: what became of each layer, and what each position runs.
import { type OffsiteTuneSpec, wayOf } from '../api/index.ts';
import type { Plan } from '../emulator/index.ts';
import type { BuildEntry } from './record.ts';

/** What became of a layer of the full model in the emulator. */
export type Role = 'transfer' | 'kept' | 'shared' | 'removed';

const roleWords: Readonly<Record<Exclude<Role, 'kept'>, string>> = {
  transfer: 'transfer layer: kept, and trained by the data owner',
  shared: "removed; its position runs a kept layer's weights",
  removed: 'removed, with its position',
};

/** What a reader is told of the way in which an emulator is made. */
export interface ShownWay {
  readonly strategy: string;
  readonly layers?: number | undefined;
  readonly compression?: { readonly type: string } | undefined;
}

/** The way that the spec says, or that was found; undefined where it is still looked for. */
export const wayIn = ({ resource: { spec }, status }: BuildEntry): ShownWay | undefined =>
  wayOf(spec) ?? status.auto?.chosen;

/** What each role comes to in an emulator made in a way, by a plan. */
export const wordsOf = (way: ShownWay | undefined, plan: Plan): Readonly<Record<Role, string>> => ({
  ...roleWords,
  kept: keptWords(way?.compression, plan),
});

function keptWords(
  compression: ShownWay['compression'],
  { transferLayers }: Pick<Plan, 'transferLayers'>,
): string {
  const become = compression === undefined ? 'kept as it is' : `kept, compressed (${compression.type})`;
  return transferLayers.length > 0 ? become : `${become}, with LoRA trained beside it`;
}

/** One position of the emulator and the layer whose weights it runs. */
export interface Position {
  readonly position: number;
  readonly source: number;
  readonly role: Role;
}

/** The role of each layer of the full model, in order. */
export function rolesOf(plan: Plan): Role[] {
  const shallow = isShallow(plan);
  const kept = new Set(plan.kept);
  const transfer = new Set(plan.transferLayers);
  return plan.clusters
    .flat()
    .map((layer) =>
      transfer.has(layer) ? 'transfer' : kept.has(layer) ? 'kept' : shallow ? 'removed' : 'shared',
    );
}

/** What each position of the emulator runs. */
export function positionsOf(plan: Plan): Position[] {
  const roles = rolesOf(plan);
  const shallow = isShallow(plan);
  return plan.source.map((source, position) => ({
    position,
    source,
    role: shallow || source === position ? (roles[source] as Role) : 'shared',
  }));
}

/** Whether the emulator has only the kept layers, none of them twice. */
export const isShallow = ({ source, kept, clusters }: Plan): boolean =>
  source.length === kept.length && clusters.flat().length !== kept.length;

/** What an OffsiteTune trains. */
export const trainedWords = ({ type, head }: OffsiteTuneSpec['adapter']): string =>
  `${type === 'layers' ? 'the transfer layers' : type}${head ? ' and the head' : ''}`;
