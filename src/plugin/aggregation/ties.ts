// TIES and DARE-TIES: of each weight the sign that most of the sparse changes agree on, and the mean of those that have it.
import { hashOf, mix } from '../../data/index.ts';
import type { Changes, Merging, Method, Piece } from './changes.ts';
import { byWeight } from './combination.ts';
import { isKept, Largest } from './largest.ts';

export interface TiesOptions {
  /** The share of each change that is merged. */
  readonly density: number;
  /** How many times the merged change counts. */
  readonly scale: number;
}

/**
 * TIES (Yadav et al., arXiv 2306.01708): each change keeps the largest of its elements; of each weight the sign with the larger
 * sum is elected, and the mean, by weight, of the kept elements of that sign is the change.
 */
export function ties(changes: Changes, { density, scale }: TiesOptions): Method {
  const largest = new Largest(changes, density);
  return {
    first: [largest],
    prepare() {
      const thresholds = largest.thresholds(changes);
      return elected(changes, scale, () => (value, party) => (isKept(value, thresholds[party]!) ? value : 0));
    },
  };
}

/**
 * DARE (Yu et al., arXiv 2311.03099) before the same election: each element is dropped at random, and those that stay are scaled
 * so that their expectation is the change. What is drawn follows from the seed, the party's name and the element's place alone.
 */
export function dareTies(changes: Changes, { density, scale, seed }: TiesOptions & { seed: number }): Method {
  const parties = changes.parties.map((name) => mix(hashOf(name) ^ seed));
  const most = density * 2 ** 32;
  const prepare = () =>
    elected(changes, scale, ({ tensor, from }) => {
      const here = parties.map((party) => mix(mix(party ^ tensor) ^ Math.floor(from / 2 ** 32)));
      return (value, party, i) => {
        const drawn = mix(here[party]! + Math.imul((from + i) | 0, 0x9e3779b1)) >>> 0;
        return drawn < most ? value / density : 0;
      };
    });
  return { first: [], prepare };
}

type Sparse = (value: number, party: number, i: number) => number;

/** @param sparse what is left of an element of a piece: 0 where it is dropped */
function elected(changes: Changes, scale: number, sparse: (piece: Piece) => Sparse): Merging {
  const { weights } = changes;
  const kept = new Float64Array(weights.length);
  return {
    byElement: true,
    merge(piece, into, counted) {
      const left = sparse(piece);
      for (let i = 0; i < into.length; i++) {
        let mass = 0;
        for (let party = 0; party < weights.length; party++) {
          kept[party] = left(piece.changes[party]![i]!, party, i);
          mass += weights[party]! * kept[party]!;
        }
        let [sum, weight] = [0, 0];
        for (let party = 0; party < weights.length; party++) {
          if (!(kept[party]! * mass > 0) || weights[party] === 0) continue;
          sum += weights[party]! * kept[party]!;
          weight += weights[party]!;
          if (counted !== undefined) counted[party]!++;
        }
        into[i] = weight === 0 ? 0 : (scale * sum) / weight;
      }
    },
    verdict: byWeight(changes),
  };
}
