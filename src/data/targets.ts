// The tokens that a packed batch predicts.

/** One token to predict. */
export interface Target {
  /** Flat index (sequence * length + t) of the token whose state predicts it. */
  readonly from: number;
  readonly token: number;
  readonly row: number;
  /** 0: the trunk; c + 1: branch c. */
  readonly branch: number;
}

/** Some of them, in their order; a list of objects is one, too. */
export interface Targets extends Iterable<Target> {
  readonly length: number;
  at(place: number): Target | undefined;
  forEach(callback: (target: Target, place: number) => void): void;
}

const fields = 4;

/** They lie outside of JavaScript's heap, in 16 bytes each: as objects those of a whole set would take eight times what its tokens do. */
export class PackedTargets implements Targets {
  /** From, token, row and branch, target after target. */
  readonly values: Int32Array;

  private constructor(values: Int32Array) {
    this.values = values;
  }

  static of(targets: Iterable<Target>): PackedTargets {
    const values: number[] = [];
    for (const { from, token, row, branch } of targets) values.push(from, token, row, branch);
    return new PackedTargets(Int32Array.from(values));
  }

  get length(): number {
    return this.values.length / fields;
  }

  at(place: number): Target | undefined {
    const { values } = this;
    const at = place * fields;
    if (at >= values.length) return undefined;
    return { from: values[at]!, token: values[at + 1]!, row: values[at + 2]!, branch: values[at + 3]! };
  }

  forEach(callback: (target: Target, place: number) => void): void {
    for (let place = 0; place < this.length; place++) callback(this.at(place)!, place);
  }

  *[Symbol.iterator](): Iterator<Target> {
    for (let place = 0; place < this.length; place++) yield this.at(place)!;
  }
}
