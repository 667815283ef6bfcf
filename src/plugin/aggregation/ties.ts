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
      return elected(changes, scale, ({ changes: own }) => (into, party, from) => {
        const change = own[party]!;
        const threshold = thresholds[party]!;
        for (let i = 0; i < into.length; i++) {
          const value = change[from + i]!;
          into[i] = isKept(value, threshold) * value;
        }
      });
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
    elected(changes, scale, (piece) => (into, party, from) => {
      const change = piece.changes[party]!;
      const here = mix(mix(parties[party]! ^ piece.tensor) ^ Math.floor(piece.from / 2 ** 32));
      const place = (piece.from + from) | 0;
      for (let i = 0; i < into.length; i++) {
        const drawn = mix(here + Math.imul((place + i) | 0, 0x9e3779b1)) >>> 0;
        into[i] = Number(drawn < most) * (change[from + i]! / density);
      }
    });
  return { first: [], prepare };
}

/** Fills what is left of a party's elements of a piece, from one on: 0 where they are dropped. */
type Sparse = (into: Float64Array, party: number, from: number) => void;

/** Elements at a time: what all parties have there stays in a cache. */
const blockSize = 512;

function elected({ weights }: Changes, scale: number, sparse: (piece: Piece) => Sparse): Merging {
  const counting = [...weights.keys()].filter((party) => weights[party]! > 0);
  const kept = weights.map(() => new Float64Array(blockSize));
  const mass = new Float64Array(blockSize);
  const agreed = new Float64Array(blockSize);
  return {
    byElement: true,
    merge(piece, into, counted) {
      const fill = sparse(piece);
      for (let from = 0; from < into.length; from += blockSize) {
        const block = into.subarray(from, from + blockSize);
        mass.fill(0);
        for (const party of counting) {
          const own = kept[party]!.subarray(0, block.length);
          fill(own, party, from);
          addTimes(mass, own, weights[party]!);
        }
        block.fill(0);
        agreed.fill(0);
        for (const party of counting) {
          const own = kept[party]!.subarray(0, block.length);
          const count = addAgreeing(block, agreed, { own, mass, weight: weights[party]! });
          if (counted !== undefined) counted[party]! += count;
        }
        for (let i = 0; i < block.length; i++)
          block[i] = agreed[i] === 0 ? 0 : (scale * block[i]!) / agreed[i]!;
      }
    },
    verdict: byWeight({ weights }),
  };
}

function addTimes(into: Float64Array, values: Float64Array, factor: number): void {
  for (let i = 0; i < values.length; i++) into[i]! += factor * values[i]!;
}

/** Adds a party's elements that have the elected sign, and to `agreed` its weight. @returns how many there are */
function addAgreeing(
  into: Float64Array,
  agreed: Float64Array,
  { own, mass, weight }: { own: Float64Array; mass: Float64Array; weight: number },
): number {
  let count = 0;
  for (let i = 0; i < own.length; i++) {
    // As a number: whether it agrees is chance, and a wrong guess of a branch costs more than what is added.
    const agrees = Number(own[i]! * mass[i]! > 0);
    into[i]! += agrees * weight * own[i]!;
    agreed[i]! += agrees * weight;
    count += agrees;
  }
  return count;
}
