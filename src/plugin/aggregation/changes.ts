// The changes of several parties as the methods see them: piece by piece, so that memory is that of a piece times the parties.

/** A run of elements of one tensor's change, of all parties. */
export interface Piece {
  /** The layer, or the head, that the tensor belongs to: an index among the places. */
  readonly place: number;
  /** The tensor's index among all, and of its elements the first of these. */
  readonly tensor: number;
  readonly from: number;
  /** By party, each of as many elements; valid until the next piece. */
  readonly changes: readonly Float64Array[];
}

/** What several parties would change. */
export interface Changes {
  /** The parties' names, by which chance is drawn; their order is the same everywhere. */
  readonly parties: readonly string[];
  /** What the model owner lets each count, 0 or more, not all 0. */
  readonly weights: readonly number[];
  /** How many layers and heads there are. */
  readonly places: number;
  /** Elements of the whole change. */
  readonly size: number;
  /** All pieces, in the same order each time. */
  pieces(): Iterable<Piece>;
}

/** What is summed over all pieces in one pass. */
export interface Measure {
  add(piece: Piece): void;
}

export function measure(changes: Changes, measures: readonly Measure[]): void {
  if (measures.length === 0) return;
  for (const piece of changes.pieces()) for (const one of measures) one.add(piece);
}

/** What became of one party's change at one place. */
export interface Verdict {
  readonly taken: boolean;
  /** Why it was left out, or how it was changed first. */
  readonly reason?: string | undefined;
}

/** How a piece of the change that comes of all is made. */
export interface Merging {
  /**
   * @param into filled
   * @param counted where given: one more, by party, for each element at which the party's value counted
   */
  merge(piece: Piece, into: Float64Array, counted?: Float64Array): void;
  verdict(place: number, party: number): Verdict;
  /** Whether a method chooses by element, so that `counted` says something. */
  readonly byElement: boolean;
}

/** A method as it looks at the changes: first what it measures in one pass over all of them, then the rest. */
export interface Method {
  readonly first: readonly Measure[];
  /** @param norms of the same pass */
  prepare(norms: Norms): Merging;
}

/** The norms of each party's change, whole, by place and by tensor, in float64. */
export class Norms implements Measure {
  readonly #squares: readonly Float64Array[];
  /** By tensor, then by party. */
  readonly #ofTensors: Float64Array[] = [];

  constructor({ parties, places }: Pick<Changes, 'parties' | 'places'>) {
    this.#squares = parties.map(() => new Float64Array(places));
  }

  add({ place, tensor, changes }: Piece): void {
    this.#ofTensors[tensor] ??= new Float64Array(changes.length);
    for (const [party, change] of changes.entries()) {
      let sum = 0;
      for (let i = 0; i < change.length; i++) sum += change[i]! * change[i]!;
      this.#squares[party]![place]! += sum;
      this.#ofTensors[tensor]![party]! += sum;
    }
  }

  /** Of each party, by its index. */
  whole(): number[] {
    return this.#squares.map((places) => Math.sqrt(places.reduce((a, b) => a + b, 0)));
  }

  /** Of each party's change of one tensor. */
  ofTensor(tensor: number): number[] {
    return Array.from(this.#ofTensors[tensor]!, Math.sqrt);
  }

  at(place: number, party: number): number {
    return Math.sqrt(this.#squares[party]![place]!);
  }
}
