// Which blocks are computed by one graph.

/** Positions whose blocks one graph computes, in this order. */
export type Span = readonly number[];

export interface SpanOptions {
  /** Bytes of the weights at each position. */
  readonly weights: readonly number[];
  /** Bytes of weights that a graph may take: one block each where that is 0. */
  readonly memory: number;
  /** Positions behind which somebody asks for the states. */
  readonly cuts: ReadonlySet<number>;
}

/** All positions in spans as long as the memory lets them be; a block that does not fit is one of its own. */
export function spansWithin({ weights, memory, cuts }: SpanOptions): Span[] {
  const spans: number[][] = [];
  let [free, isCut] = [0, true];
  for (const [position, bytes] of weights.entries()) {
    if (isCut || bytes > free) {
      spans.push([]);
      free = memory;
    }
    spans.at(-1)!.push(position);
    free -= bytes;
    isCut = cuts.has(position);
  }
  return spans;
}
