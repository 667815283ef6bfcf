// How much of each linear map stays, and the rank that this gives.

/** Outputs and inputs of a linear map. */
export interface MapSize {
  readonly to: number;
  readonly from: number;
}

/** The largest rank whose factors have at most this share of the map's parameters; at least 1. */
export function rankOf({ to, from }: MapSize, share: number): number {
  return Math.max(1, Math.floor((share * to * from) / (to + from)));
}

/**
 * The share of each of several maps of one type that stays, so that `ratio` of all stays, after SVD-LLM V2 (arXiv 2503.12340):
 * of map i goes n (1 - ratio) w_i / sum(w), w_i = 1 / log(L_i), L_i being what the map would lose at `ratio` itself (the
 * Frobenius norm of its outputs' error over all tokens). Where the formula says nothing (a loss below e, whose logarithm is
 * near 0 or negative) a loss counts as e; where it takes more than there is, the others give the rest.
 */
export function sharesByLoss(losses: readonly number[], ratio: number): number[] {
  const weights = losses.map((loss) => 1 / Math.log(Math.max(loss, Math.E)));
  const gone = losses.map(() => 0);
  const open = new Set(losses.keys());
  let left = losses.length * (1 - ratio);
  while (open.size > 0) {
    const sum = [...open].reduce((total, i) => total + weights[i]!, 0);
    const over = [...open].filter((i) => (left * weights[i]!) / sum > 1);
    if (over.length === 0) {
      for (const i of open) gone[i] = (left * weights[i]!) / sum;
      break;
    }
    for (const i of over) {
      gone[i] = 1;
      open.delete(i);
      left -= 1;
    }
  }
  return gone.map((share) => 1 - share);
}
