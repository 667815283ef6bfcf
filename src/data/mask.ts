// Which tokens of a packed batch attend to which: causal, within a row, a branch and a window.
import type { PackedBatch } from './pack.ts';

/** What is added to a score that must not count: no score of a hostile model is large enough to outweigh it. */
export const masked = Number.NEGATIVE_INFINITY;

/**
 * The additive attention bias of a batch, [B, 1, T, T] (query, then key): 0 where a token sees another, -Infinity elsewhere.
 * Padding tokens see the padding before them, so every query sees at least itself, and the softmax stays a number.
 * @param slidingWindow a token sees the last `slidingWindow` places of its row only, itself among them
 */
export function attentionMask(
  { size, length, rows, branches, positions }: PackedBatch,
  slidingWindow = Number.POSITIVE_INFINITY,
): Float32Array<ArrayBuffer> {
  const mask = new Float32Array(size * length * length).fill(masked);
  for (let query = 0; query < size * length; query++) {
    const start = query - (query % length);
    for (let key = start; key <= query; key++) {
      const sees =
        rows[key] === rows[query] &&
        (branches[key] === 0 || branches[key] === branches[query]) &&
        positions[query]! - positions[key]! < slidingWindow;
      if (sees) mask[query * length + (key - start)] = 0;
    }
  }
  return mask;
}
