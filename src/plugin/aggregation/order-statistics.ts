// Coordinate-wise median and trimmed mean: of each weight the middle values count.

import type { Merging, Method, Piece } from './changes.ts';
import { taken } from './combination.ts';

/** The coordinate-wise median (Yin et al., arXiv 1803.01498): withstands attackers while they are fewer than half. */
export const coordinateMedian = (parties: number): Method => trimmed(parties, (parties - 1) >> 1);

/** The mean without the `trim` lowest and highest values of each weight (the same paper): withstands `trim` attackers. */
export const trimmedMean = (parties: number, trim: number): Method => trimmed(parties, trim);

function trimmed(parties: number, trim: number): Method {
  const values = new Float64Array(parties);
  const merging: Merging = {
    byElement: true,
    merge({ changes }: Piece, into, counted) {
      for (let i = 0; i < into.length; i++) {
        for (let party = 0; party < parties; party++) values[party] = changes[party]![i]!;
        sortMiddle(values, trim);
        let sum = 0;
        for (let j = trim; j < parties - trim; j++) sum += values[j]!;
        into[i] = sum / (parties - 2 * trim);
        if (counted === undefined) continue;
        const low = values[trim]!;
        const high = values[parties - trim - 1]!;
        for (let party = 0; party < parties; party++)
          counted[party]! += isWithin(changes[party]![i]!, low, high);
      }
    },
    verdict: () => taken,
  };
  return { first: [], prepare: () => merging };
}

/** As a number, since whether it is cannot be foretold and a wrong guess costs more than all else. */
export const isWithin = (value: number, low: number, high: number): number =>
  Number(value >= low) & Number(value <= high);

/** Ascending, in place, where `trim` at each end only need to be no larger and no smaller than the others. */
function sortMiddle(values: Float64Array, trim: number): void {
  const last = values.length - trim - 1;
  if (trim > 0) {
    select(values, 0, trim);
    if (last > trim) select(values, trim + 1, last);
  }
  sort(values, trim, last + 1);
}

/** Ascending, in place, from one index up to another; of so few that insertion is fastest. */
export function sort(values: Float64Array, from = 0, to: number = values.length): void {
  for (let i = from + 1; i < to; i++) {
    const value = values[i]!;
    let j = i;
    for (; j > from && values[j - 1]! > value; j--) values[j] = values[j - 1]!;
    values[j] = value;
  }
}

/** Puts at `wanted` what would be there were all from `from` on ascending, before it no larger ones, behind it no smaller ones. */
function select(values: Float64Array, from: number, wanted: number): void {
  let low = from;
  let high = values.length - 1;
  while (low < high) {
    const at = partition(values, low, high);
    if (at === low) {
      low = afterEqual(values, low, high);
      if (low > wanted) return;
    } else if (at < wanted) low = at + 1;
    else if (at > wanted) high = at - 1;
    else return;
  }
}

/** Puts those that equal the first, the least, beside it: taken one by one, many equal ones would be slow. @returns where others begin */
function afterEqual(values: Float64Array, low: number, high: number): number {
  let next = low + 1;
  for (let i = next; i <= high; i++) {
    const value = values[i]!;
    if (value !== values[low]) continue;
    values[i] = values[next]!;
    values[next++] = value;
  }
  return next;
}

/** Smaller ones than one of three before it, the others behind. @returns its place */
function partition(values: Float64Array, low: number, high: number): number {
  const from = middleOf(values, low, (low + high) >> 1, high);
  const pivot = values[from]!;
  values[from] = values[high]!;
  let at = low;
  for (let i = low; i < high; i++) {
    const value = values[i]!;
    values[i] = values[at]!;
    values[at] = value;
    // Without a branch: which way it goes is chance.
    at += Number(value < pivot);
  }
  values[high] = values[at]!;
  values[at] = pivot;
  return at;
}

/** Which of three places holds the middle value. */
function middleOf(values: Float64Array, a: number, b: number, c: number): number {
  const first = values[a]!;
  const second = values[b]!;
  const third = values[c]!;
  if (first < second) return second < third ? b : first < third ? c : a;
  return first < third ? a : second < third ? c : b;
}
