// What a model says of many rows: numbers that lie outside of JavaScript's heap.
import type { Example, PackedBatch, Target } from '../data/index.ts';

/** What a model says of one row: entry 0 is the trunk (text), entry c + 1 branch c (a choice, a completion). */
export interface RowLikelihood {
  readonly row: number;
  /** The summed log-probability of the target tokens, in nats. */
  readonly logLikelihood: readonly number[];
  readonly tokens: readonly number[];
  /** Whether greedy decoding gives just these tokens; where that was asked for. */
  readonly greedy?: readonly boolean[];
}

/** Of rows, in ascending order; a list is one, too. */
export interface Likelihoods extends Iterable<RowLikelihood> {
  readonly length: number;
}

/** How many rows there are up to the last of these examples. */
export const rowsOf = (examples: readonly Example[]): number =>
  examples.reduce((most, { row }) => Math.max(most, row + 1), 0);

/** A whole number of each example, by its row. */
export function numbersByRow(
  examples: readonly Example[],
  numberOf: (example: Example, place: number) => number,
): Int32Array {
  const numbers = new Int32Array(rowsOf(examples));
  for (const [place, example] of examples.entries()) numbers[example.row] = numberOf(example, place);
  return numbers;
}

/**
 * Sums over the targets of rows, each row's entries behind those of the row before it. As objects those of tiny rows would take more
 * of the heap than their tokens do.
 */
export class SummedLikelihoods implements Likelihoods {
  readonly length: number;
  /** Where each row's entries begin, by row; the last is their number. */
  readonly #starts: Int32Array;
  readonly #sums: Float64Array;
  readonly #tokens: Int32Array;
  readonly #greedy: Uint8Array | undefined;

  /** @param batches hold all targets that will be added */
  constructor(batches: readonly Pick<PackedBatch, 'targets'>[], { greedy }: { greedy: boolean }) {
    let rows = 0;
    for (const { targets } of batches)
      targets.forEach(({ row }) => {
        rows = Math.max(rows, row + 1);
      });
    const starts = new Int32Array(rows + 1);
    for (const { targets } of batches)
      targets.forEach(({ row, branch }) => {
        starts[row + 1] = Math.max(starts[row + 1]!, branch + 1);
      });
    this.length = starts.reduce((count, entries) => count + Number(entries > 0), 0);
    for (let row = 0; row < rows; row++) starts[row + 1]! += starts[row]!;
    const entries = starts[rows]!;
    this.#starts = starts;
    this.#sums = new Float64Array(entries);
    this.#tokens = new Int32Array(entries);
    this.#greedy = greedy ? new Uint8Array(entries).fill(1) : undefined;
  }

  /** @param isSaid whether greedy decoding gives that token, where that was asked for */
  add({ row, branch }: Target, logProbability: number, isSaid: boolean): void {
    const at = this.#starts[row]! + branch;
    this.#sums[at]! += logProbability;
    this.#tokens[at]! += 1;
    if (this.#greedy !== undefined && !isSaid) this.#greedy[at] = 0;
  }

  /** The first row of which a sum is not a number, where there is one. */
  rowWithout(): number | undefined {
    const at = this.#sums.findIndex(Number.isNaN);
    return at === -1 ? undefined : this.#starts.findLastIndex((start) => start <= at);
  }

  *[Symbol.iterator](): Iterator<RowLikelihood> {
    const starts = this.#starts;
    for (let row = 0; row + 1 < starts.length; row++) {
      const [from, to] = [starts[row]!, starts[row + 1]!];
      if (from === to) continue;
      const tokens = [...this.#tokens.subarray(from, to)];
      yield {
        ...{ row, logLikelihood: [...this.#sums.subarray(from, to)], tokens },
        ...(this.#greedy && {
          greedy: tokens.map((count, i) => count > 0 && this.#greedy![from + i] === 1),
        }),
      };
    }
  }
}
