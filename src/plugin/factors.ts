// The bounds of LoRA's factors, each by itself: PEFT and vLLM run them one after the other, in the type of the model.
import { badModel } from '../api/index.ts';
import type { Origin } from './origin.ts';

/**
 * The longest row of A, as a Euclidean norm: no state of norm 255 or less makes a number of it that float16 does not hold
 * (65504), and normed states of ordinary models are that short. A row starts at about 0.6 (PEFT's `gaussian` at
 * sqrt(inputs) / rank), and AdamW moves its elements by at most learning rate times steps.
 */
export const longestRow = 2 ** 8;

/**
 * The longest column of B, with and without its scale alpha / rank. What underflows of A x in float32 and bfloat16 (2^-126)
 * counts so many times at most: nothing. So no bound from below is needed, and a column may be zero, as all are at first.
 */
export const longestColumn = 2 ** 12;

/** The factors of one linear map, y + scale B (A x), as their tensors lie. */
export interface FactorPair {
  readonly a: Factor;
  readonly b: Factor;
  readonly rank: number;
  /** alpha / rank. */
  readonly scale: number;
}

export interface Factor {
  /** Of the tensor. */
  readonly name: string;
  /** A [rank, from] or B [to, rank]. */
  readonly values: Float32Array;
}

/**
 * Whether factors can be run one after the other wherever their product can be added: a row of A that overflows beside a column
 * of B that is tiny, or zero, leaves no trace in the product, and none of the model that runs them.
 * @param weight which the product changes, where that is known
 * @throws OffsiteError BadModel naming tensor and component, and the factors of the same product that are taken
 */
export function checkFactors(
  { name, remedy }: Origin,
  { a, b, rank, scale }: FactorPair,
  weight?: string,
): void {
  const rows = rowNorms(a.values, rank);
  const columns = columnNorms(b.values, rank);
  const counted = Math.max(1, scale);
  for (let k = 0; k < rank; k++) {
    const [row, column] = [rows[k] as number, columns[k] as number];
    if (row <= longestRow && counted * column <= longestColumn) continue;
    const even = Math.sqrt(row * column);
    const isEven = even <= longestRow && counted * even <= longestColumn;
    const right =
      column === 0
        ? 'its column of B is zero, so make the row zero, too'
        : isEven
          ? `the same product is taken of a row and a column that both have the norm ${figure(even)}: divide the one and multiply the other`
          : remedy(weight);
    const what =
      row <= longestRow
        ? `column ${k} of tensor ${b.name} has the norm ${figure(counted * column)}${scale > 1 ? ' with alpha / rank' : ''}; at most ${longestColumn}`
        : `row ${k} of tensor ${a.name} has the norm ${figure(row)}; at most ${longestRow}`;
    throw badModel(
      `${name}: ${what} is taken, since PEFT and vLLM run the factors one after the other; ${right}`,
    );
  }
}

/** Euclidean norms in float64, where squares of float32 do not overflow. */
function rowNorms(values: Float32Array, rows: number): Float64Array {
  const width = values.length / rows;
  return Float64Array.from({ length: rows }, (_, row) => {
    let sum = 0;
    for (let at = row * width; at < (row + 1) * width; at++) sum += (values[at] as number) ** 2;
    return Math.sqrt(sum);
  });
}

function columnNorms(values: Float32Array, columns: number): Float64Array {
  const sums = new Float64Array(columns);
  for (let at = 0; at < values.length; )
    for (let k = 0; k < columns; k++) sums[k]! += (values[at++] as number) ** 2;
  return sums.map(Math.sqrt);
}

const figure = (value: number) => value.toPrecision(3);
