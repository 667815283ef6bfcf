// A method at work: its passes over the changes, and what is found of each party on the way.
import type { Changes, Merging, Method, Piece, Verdict } from './changes.ts';
import { measure, Norms } from './changes.ts';
import { squaredDistances } from './distances.ts';

/** What was found of one party. Norms and distances are Euclidean. */
export interface PartyFound {
  readonly norm: number;
  /** From what came of all. */
  readonly distance: number;
  /** By place. */
  readonly places: readonly PlaceFound[];
}

export interface PlaceFound extends Verdict {
  readonly norm: number;
  readonly distance: number;
  /** The share of the elements at which its value counted, where a method chooses by element. */
  readonly share?: number;
}

/** Goes over the changes as often as the method must; then each piece is merged once, in any order. */
export class Aggregating {
  readonly #changes: Changes;
  readonly #norms: Norms;
  readonly #merging: Merging;
  readonly #distances: readonly Float64Array[];
  readonly #counted: readonly Float64Array[];
  readonly #elements: Float64Array;
  #squares = 0;

  constructor(changes: Changes, method: Method) {
    const { parties, places } = changes;
    const each = (count: number, size: number) => Array.from({ length: count }, () => new Float64Array(size));
    this.#changes = changes;
    this.#norms = new Norms(changes);
    measure(changes, [this.#norms, ...method.first]);
    this.#merging = method.prepare(this.#norms);
    this.#distances = each(parties.length, places);
    this.#counted = each(places, parties.length);
    this.#elements = new Float64Array(places);
  }

  /** @param into filled with what comes of the piece */
  merge(piece: Piece, into: Float64Array): void {
    const { place, changes } = piece;
    this.#merging.merge(piece, into, this.#counted[place]);
    for (const [party, sum] of squaredDistances(into, changes).entries())
      this.#distances[party]![place]! += sum;
    let squares = 0;
    for (let i = 0; i < into.length; i++) squares += into[i]! * into[i]!;
    this.#squares += squares;
    this.#elements[place]! += into.length;
  }

  /** Of what came of all, once every piece was merged. */
  get norm(): number {
    return Math.sqrt(this.#squares);
  }

  /** Of each party's change of one tensor. */
  normsOf(tensor: number): number[] {
    return this.#norms.ofTensor(tensor);
  }

  /** Of each party's whole change. */
  get norms(): number[] {
    return this.#norms.whole();
  }

  /** Of each party, once every piece was merged. */
  found(): PartyFound[] {
    const whole = this.#norms.whole();
    return this.#changes.parties.map((_, party) => {
      const distances = this.#distances[party]!;
      return {
        norm: whole[party]!,
        distance: Math.sqrt(distances.reduce((a, b) => a + b, 0)),
        places: Array.from(distances, (squared, place) => this.#at(place, party, Math.sqrt(squared))),
      };
    });
  }

  #at(place: number, party: number, distance: number): PlaceFound {
    const verdict = this.#merging.verdict(place, party);
    const share = this.#counted[place]![party]! / Math.max(1, this.#elements[place]!);
    return {
      ...verdict,
      norm: this.#norms.at(place, party),
      distance,
      ...(this.#merging.byElement && verdict.taken && { share }),
    };
  }
}
