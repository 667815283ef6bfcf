// Multi-head attention, with grouped queries and soft-capped scores.
import { badModel } from '../../api/index.ts';
import { type GraphBuilder, product, type Value } from '../../graph/index.ts';
import type { Widths } from '../widths.ts';
import { softCap } from './layers.ts';

/** Heads that lie side by side in the last dimension; the query heads of a group share its keys and values. */
interface Heads extends Pick<Widths, 'heads' | 'groups'> {
  /** Of one head. */
  size: number;
}

/** The largest heads in use have 512 numbers or 576; a table of angles takes as many for each position, and hardly a weight. */
const largestHead = 1024;

/** @throws OffsiteError BadModel where the numbers of a configuration do not fit */
export function headsOf(
  hidden: number,
  heads: number,
  groups: number | null | undefined,
  headSize?: number | null,
): Heads {
  const size = headSize ?? hidden / heads;
  if (!Number.isInteger(size) || heads % (groups ?? heads) !== 0)
    throw badModel(
      `config.json: ${hidden} wide, ${heads} heads and ${groups ?? heads} key-value heads do not fit`,
    );
  if (size > largestHead)
    throw badModel(
      `config.json: heads of ${size} numbers are larger than any model has (${largestHead} at most)`,
    );
  return { heads, groups: groups ?? heads, size };
}

export interface AttentionOptions {
  /** Of one head; as many as fit into queries and keys. */
  size: number;
  /** Of the products; 1 / sqrt(size) when absent. */
  scale?: number | undefined;
  /** Keeps the scaled products between -cap and cap. */
  cap?: number | undefined;
  /** Added to every score: [B, 1, 1, T, T] or what broadcasts to [B, groups, heads / groups, T, T]. */
  bias: readonly [Value, ...Value[]];
}

/** The graph, and from how many bytes of a sequence's scores on none of them are to be in memory; they may be when absent. */
export interface AttentionContext {
  readonly g: GraphBuilder;
  readonly mostScores?: number | undefined;
}

/** What head sizes must be multiples of for the operator that goes by tiles. */
const tiledSizes = 8;
/** Whether it takes heads of a size. */
export const takesTiles = (size: number): boolean => size % tiledSizes === 0;

/**
 * Scaled dot-product attention (arXiv 1706.03762) with grouped queries (arXiv 2305.13245).
 * @param queries [B, T, heads * size]
 * @param keys and values: [B, T, groups * size]
 * @returns [B, T, heads * size]
 */
export function attention(
  { g, mostScores = Number.POSITIVE_INFINITY }: AttentionContext,
  queries: Value,
  keys: Value,
  values: Value,
  { size, scale = 1 / Math.sqrt(size), cap, bias }: AttentionOptions,
): Value {
  const [batch, length, width] = queries.shape as [number, number, number];
  const groups = (keys.shape[2] as number) / size;
  const heads = width / size;
  const perGroup = heads / groups;
  const scoreBytes = heads * length ** 2 * Float32Array.BYTES_PER_ELEMENT;
  if (scoreBytes >= mostScores && takesTiles(size)) {
    const sum = bias.reduce((one, other) => g.add(one, other));
    const each = g.reshape(sum, [batch, product(sum.shape.slice(1, 3)), length, length]);
    const mixed = g.groupQueryAttention([queries, keys, values], each, { size, scale, cap });
    return g.add(mixed, nothingIfFinite(g, queries, keys));
  }
  // The query heads of one key-value head lie behind each other, so that keys and values are never repeated.
  const stacked = g.reshape(
    g.transpose(g.reshape(queries, [batch, length, groups, perGroup, size]), [0, 2, 3, 1, 4]),
    [batch, groups, perGroup * length, size],
  );
  const grouped = (v: Value) => g.transpose(g.reshape(v, [batch, length, groups, size]), [0, 2, 1, 3]);
  const products = g.matmul(stacked, grouped(keys), { transB: true, alpha: scale });
  const scores = g.reshape(softCap(g, products, cap), [batch, groups, perGroup, length, length]);
  const weights = g.reshape(g.softmax(bias.reduce((sum, more) => g.add(sum, more), scores)), [
    batch,
    groups,
    perGroup * length,
    length,
  ]);
  const mixed = g.reshape(g.matmul(weights, grouped(values)), [batch, groups, perGroup, length, size]);
  return g.reshape(g.transpose(mixed, [0, 3, 1, 2, 4]), [batch, length, width]);
}

/**
 * What is added to what comes by tiles: the operator gives nothing for a token all of whose scores are NaN, as if its model were
 * sound. 0 where no score can be other than finite, NaN where a query or a key is not finite, or both are so large that their
 * products may not be: [B, T, 1].
 */
function nothingIfFinite(g: GraphBuilder, queries: Value, keys: Value): Value {
  const size = (x: Value, axes: readonly number[]) => g.reduceSum(g.mul(x, g.sign(x)), axes);
  return g.mul(g.mul(size(queries, [2]), size(keys, [1, 2])), g.scalar(0));
}
