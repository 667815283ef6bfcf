// The ways to make an emulator that are looked at: depth, rank, and where the data owner trains.
import type { Way } from '../../api/index.ts';
import { canonicalJson } from '../../artifact/index.ts';

export interface CandidateOptions {
  /** Of the full model. */
  readonly depth: number;
  /** Where the data owner trains; transfer layers and LoRA beside every map are both tried when absent. */
  readonly transferLayers?: Way['transferLayers'] | undefined;
  /** Whether blocks are refined afterwards, which only those can be that are not exact. */
  readonly compressedOnly: boolean;
}

/** Of the maps' parameters; one derivation at the largest gives all. */
export const lowRankRatios = ['0.2', '0.35', '0.5', '0.7'] as const;
/** With exact transfer layers a high ratio protects nothing. */
const ratiosBesideExact = ['0.2', '0.35', '0.5'] as const;
const keptShares = [0.8, 0.6];
const ratioOfFewer = '0.5';
const transferCount = 4;

/**
 * Every way once, in a fixed order, of which earlier ones win ties: full depth in low rank with LoRA beside every map, the same with
 * transfer layers, then fewer layers, exact or in low rank. Selections that take many passes (sleb) or whose derivations do not nest
 * (width, ratios by loss, components by gradient) are not among them.
 */
export function candidateWays({ depth, transferLayers, compressedOnly }: CandidateOptions): Way[] {
  const beside = transferLayers ?? { count: 0 };
  const exact = (kept: number) => transferLayers ?? { count: Math.min(transferCount, kept) };
  const lowRank = (ratio: string) => ({ compression: { type: 'lowRank' as const, ratio } });
  const strategy = 'none' as const;
  const counts = [...new Set(keptShares.map((share) => Math.ceil(share * depth)))].filter(
    (count) => count < depth,
  );
  const [most] = counts;
  const ways: Way[] = [
    ...lowRankRatios.map((ratio) => ({ strategy, ...lowRank(ratio), transferLayers: beside })),
    ...ratiosBesideExact.map((ratio) => ({ strategy, ...lowRank(ratio), transferLayers: exact(depth) })),
    ...(compressedOnly
      ? []
      : counts.flatMap((layers) =>
          (['crash', 'uniform', 'angular'] as const).map((strategy) => ({
            ...{ strategy, layers, transferLayers: exact(layers) },
          })),
        )),
    ...(most === undefined
      ? []
      : (['crash', 'uniform'] as const).map((strategy) => ({
          ...{ strategy, layers: most, ...lowRank(ratioOfFewer), transferLayers: beside },
        }))),
  ];
  return [...new Map(ways.map((way) => [canonicalJson(way), way])).values()];
}
