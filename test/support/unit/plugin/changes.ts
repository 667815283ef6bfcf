/** Changes of parties in memory, cut into pieces of any size. */
import type { Aggregation } from '../../../../src/api/index.ts';
import {
  Aggregating,
  type Changes,
  methodOf,
  type PartyFound,
} from '../../../../src/plugin/aggregation/index.ts';

/** @param pieceSize of elements; a piece never crosses a layer */
export function changesOf(
  updates: readonly (readonly number[])[],
  {
    layers = 1,
    weights = updates.map(() => 1),
    parties = updates.map((_, i) => `party ${i}`),
    pieceSize = 3,
  }: { layers?: number; weights?: readonly number[]; parties?: readonly string[]; pieceSize?: number } = {},
): Changes {
  const size = updates[0]!.length;
  const width = size / layers;
  return {
    ...{ parties, weights, size, places: layers },
    *pieces() {
      for (let place = 0; place < layers; place++) {
        for (let from = 0; from < width; from += pieceSize) {
          const [start, end] = [place * width + from, place * width + Math.min(width, from + pieceSize)];
          const changes = updates.map((update) => Float64Array.from(update.slice(start, end)));
          yield { place, tensor: place, from, changes };
        }
      }
    },
  };
}

/** What comes of all, and what is found of each. */
export function aggregated(
  changes: Changes,
  aggregation: Aggregation,
): { values: number[]; found: PartyFound[]; norm: number } {
  const aggregating = new Aggregating(changes, methodOf(aggregation, changes));
  const values: number[] = [];
  for (const piece of changes.pieces()) {
    const into = new Float64Array(piece.changes[0]!.length);
    aggregating.merge(piece, into);
    values.push(...into);
  }
  return { values, found: aggregating.found(), norm: aggregating.norm };
}
