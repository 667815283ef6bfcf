// Pooling of hidden states over tokens, so that each row is one vector a layer.
import { badData } from '../../api/index.ts';
import type { TokenWeights } from '../../model/index.ts';

export type Pooling = 'mean' | 'meanWeighted' | 'last' | 'first' | 'max' | 'min';

export interface PoolingOptions {
  readonly pooling: Pooling;
  /** Leaves out each row's first token, whose activations rule the residual stream of today's models. */
  readonly skipFirst?: boolean;
}

/**
 * One float32 vector of `width` numbers for each row of a packed batch, accumulated in float64.
 * @param hidden a layer's output, [tokens, width]
 * @param rows each token's row, -1 for padding; tokens of a row stand in their order
 */
export function poolRows(
  hidden: Float32Array,
  width: number,
  rows: Int32Array,
  { pooling, skipFirst = false }: PoolingOptions,
): Map<number, Float32Array> {
  const pooled = new Map<number, Float32Array>();
  for (const [row, used] of usedByRow(rows, skipFirst))
    pooled.set(row, rules[pooling](used, { hidden, width }, skipFirst ? 2 : 1));
  return pooled;
}

/** Whether a pooled vector is a weighted sum of states, as the greatest and the least are not. */
export const isSum = (pooling: Pooling): boolean => pooling in shares;

/** The rows of a packed batch, in the order in which they stand there. */
export const rowsIn = (rows: Int32Array): number[] => [...new Set(rows)].filter((row) => row >= 0);

/**
 * How much each token counts in the vector of each of `rowsIn`, for pooling by sums.
 * @param rows as `poolRows` has it
 */
export function poolingWeights(
  rows: Int32Array,
  { pooling, skipFirst = false }: PoolingOptions,
): TokenWeights {
  const share = shares[pooling]!;
  const used = usedByRow(rows, skipFirst);
  const weights = new Float32Array(used.size * rows.length);
  for (const [i, tokens] of [...used.values()].entries()) {
    const counts = tokens.map((_, index) => share(index, tokens.length, skipFirst ? 2 : 1));
    const total = counts.reduce((sum, count) => sum + count, 0);
    for (const [index, token] of tokens.entries()) weights[i * rows.length + token] = counts[index]! / total;
  }
  return { rows: used.size, weights };
}

/** Of a token among those used, counted from 0, of `count`; `start` as `Rule` has it. */
type Share = (index: number, count: number, start: number) => number;

const shares: Partial<Record<Pooling, Share>> = {
  mean: () => 1,
  meanWeighted: (index, _, start) => index + start,
  last: (index, count) => Number(index === count - 1),
  first: (index) => Number(index === 0),
};

/** The tokens of each row that are pooled. */
function usedByRow(rows: Int32Array, skipFirst: boolean): Map<number, number[]> {
  const tokens = new Map<number, number[]>();
  rows.forEach((row, token) => {
    if (row < 0) return;
    const list = tokens.get(row);
    if (list) list.push(token);
    else tokens.set(row, [token]);
  });
  if (!skipFirst) return tokens;
  for (const [row, all] of tokens) {
    if (all.length === 1)
      throw badData(`row ${row + 1} has one token, and probe.skipFirst leaves none; remove the row`);
    all.shift();
  }
  return tokens;
}

/** A layer's output, [tokens, width]. */
interface States {
  readonly hidden: Float32Array;
  readonly width: number;
}
/** `start` is the place in its row, counted from 1, of the first token used. */
type Rule = (tokens: readonly number[], states: States, start: number) => Float32Array;

const rules: Record<Pooling, Rule> = {
  mean: (tokens, states) => weightedMean(tokens, states, () => 1),
  meanWeighted: (tokens, states, start) => weightedMean(tokens, states, (i) => i + start),
  last: (tokens, states) => stateOf(tokens.at(-1)!, states),
  first: (tokens, states) => stateOf(tokens[0]!, states),
  max: (tokens, states) => extreme(tokens, states, (a, b) => a > b),
  min: (tokens, states) => extreme(tokens, states, (a, b) => a < b),
};

const stateOf = (token: number, { hidden, width }: States) =>
  hidden.slice(token * width, (token + 1) * width);

function weightedMean(
  tokens: readonly number[],
  { hidden, width }: States,
  weight: (index: number) => number,
): Float32Array {
  const sum = new Float64Array(width);
  let total = 0;
  for (let i = 0; i < tokens.length; i++) {
    const factor = weight(i);
    total += factor;
    const start = tokens[i]! * width;
    for (let d = 0; d < width; d++) sum[d]! += factor * hidden[start + d]!;
  }
  const mean = new Float32Array(width);
  for (let d = 0; d < width; d++) mean[d] = sum[d]! / total;
  return mean;
}

function extreme(
  tokens: readonly number[],
  states: States,
  better: (a: number, b: number) => boolean,
): Float32Array {
  const { hidden, width } = states;
  const best = stateOf(tokens[0]!, states);
  for (const token of tokens) {
    const start = token * width;
    for (let d = 0; d < width; d++) {
      const value = hidden[start + d]!;
      // NaN must survive, or a broken model would look whole
      if (better(value, best[d]!) || Number.isNaN(value)) best[d] = value;
    }
  }
  return best;
}
