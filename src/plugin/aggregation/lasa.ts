// LASA: layer by layer, the parties whose sparsified change is of usual size and of usual signs.

import { type Changes, type Measure, type Method, measure, type Piece, type Verdict } from './changes.ts';
import { byWeight, combination, shares } from './combination.ts';
import { isKept, Largest } from './largest.ts';
import { clipFactors, clipped } from './norm-clip.ts';
import { type Spread, scores, short } from './statistics.ts';

export interface LasaOptions {
  /** The share of smallest elements that norms and signs are judged without. */
  readonly sparsity: number;
  /** How far from the median a party may be at a layer, in spreads. */
  readonly normBound: number;
  readonly signBound: number;
  readonly spread: Spread;
}

/**
 * Layer-adaptive sparsified aggregation (Xu et al., arXiv 2409.01435): every change is shortened to the median norm; a copy of
 * it keeps its largest elements; at each layer those parties are taken whose copy's norm and purity of signs lie near the
 * median of all (all parties where nobody's do); the layer's change is the mean, by weight, of the taken parties' shortened
 * changes.
 */
export function lasa(changes: Changes, options: LasaOptions): Method {
  const largest = new Largest(changes, 1 - options.sparsity);
  return {
    first: [largest],
    prepare(norms) {
      const factors = clipFactors(norms.whole());
      const signs = new Sparsified(changes, largest.thresholds(changes));
      measure(changes, [signs]);
      const verdicts = Array.from({ length: changes.places }, (_, place) =>
        verdictsAt(signs, place, factors, options),
      );
      const coefficients = verdicts.map((found) => {
        const isTaken = (party: number) => found[party]!.taken;
        const own = shares(changes.weights, isTaken);
        // Where nobody with a weight is taken, the layer stays as it is.
        return own.map((share, party) => share * factors[party]!);
      });
      const verdict = byWeight(changes, (place, party) => {
        const found = verdicts[place]![party]!;
        return found.taken ? { taken: true, reason: clipped(factors[party]!) } : found;
      });
      return combination((place) => coefficients[place]!, verdict);
    },
  };
}

function verdictsAt(
  signs: Sparsified,
  place: number,
  factors: readonly number[],
  { sparsity, normBound, signBound, spread }: LasaOptions,
): Verdict[] {
  const all = factors.map((_, party) => party);
  const norms = scores(
    all.map((party) => factors[party]! * signs.norm(place, party)),
    spread,
  );
  const purities = scores(
    all.map((party) => signs.purity(place, party, sparsity)),
    spread,
  );
  const isNear = (party: number) => norms[party]! < normBound && purities[party]! < signBound;
  if (!all.some(isNear)) return all.map(() => ({ taken: true }));
  return all.map((party): Verdict => {
    if (isNear(party)) return { taken: true };
    const far = [
      ...(norms[party]! < normBound ? [] : [`its norm lies ${away(norms[party]!)} the median`]),
      ...(purities[party]! < signBound
        ? []
        : [`the purity of its signs lies ${away(purities[party]!)} the median`]),
    ];
    return { taken: false, reason: far.join(', ') };
  });
}

/** Where most agree to the last bit a spread is 0. */
const away = (spreads: number) =>
  Number.isFinite(spreads) ? `${short(spreads)} spreads from` : 'off, where most have';

/** Norms, before they are shortened, and signs of the parties' largest elements, by place. */
class Sparsified implements Measure {
  readonly #thresholds: readonly number[];
  readonly #squares: readonly Float64Array[];
  readonly #signs: readonly Float64Array[];
  readonly #counts: readonly Float64Array[];

  constructor({ parties, places }: Changes, thresholds: readonly number[]) {
    const each = () => parties.map(() => new Float64Array(places));
    this.#thresholds = thresholds;
    this.#squares = each();
    this.#signs = each();
    this.#counts = each();
  }

  add({ place, changes }: Piece): void {
    for (const [party, change] of changes.entries()) {
      const threshold = this.#thresholds[party]!;
      let [squares, plus, count] = [0, 0, 0];
      for (let i = 0; i < change.length; i++) {
        const value = change[i]!;
        const kept = isKept(value, threshold);
        squares += kept * value * value;
        plus += kept & Number(value > 0);
        count += kept;
      }
      const signs = 2 * plus - count;
      this.#squares[party]![place]! += squares;
      this.#signs[party]![place]! += signs;
      this.#counts[party]![place]! += count;
    }
  }

  norm(place: number, party: number): number {
    return Math.sqrt(this.#squares[party]![place]!);
  }

  /** Between 0, all kept signs are minus, and 1, all are plus; one half where nothing is kept. */
  purity(place: number, party: number, sparsity: number): number {
    const count = this.#counts[party]![place]!;
    const mean = count === 0 ? 0 : this.#signs[party]![place]! / count;
    return 0.5 * (1 + mean * (1 - sparsity));
  }
}
