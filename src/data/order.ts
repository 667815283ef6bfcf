/** Where training stands in its data: the epoch and the next index into that epoch's order. */
export interface DataCursor {
  epoch: number;
  index: number;
}

/** A permutation of 0..rows-1 for one epoch (Fisher-Yates); equal arguments give equal orders. */
export function epochOrder(rows: number, seed: number, epoch: number): Uint32Array {
  const order = Uint32Array.from({ length: rows }, (_, i) => i);
  const random = splitMix32(seed ^ Math.imul(epoch + 1, 0x9e3779b9));
  for (let i = rows - 1; i > 0; i--) {
    const j = Math.floor((random() / 4294967296) * (i + 1));
    [order[i], order[j]] = [order[j] as number, order[i] as number];
  }
  return order;
}

/** The next `count` row indices and the cursor behind them; an epoch's tail is joined with the next epoch's head. */
export function nextRows(
  rows: number,
  seed: number,
  cursor: DataCursor,
  count: number,
): { indices: number[]; cursor: DataCursor } {
  const indices: number[] = [];
  let { epoch, index } = cursor;
  let order = epochOrder(rows, seed, epoch);
  while (indices.length < count) {
    if (index === rows) {
      epoch += 1;
      index = 0;
      order = epochOrder(rows, seed, epoch);
    }
    indices.push(order[index++] as number);
  }
  return { indices, cursor: { epoch, index } };
}

/** SplitMix with 32 bits of state (Steele, Lea, Flood 2014, constants of MurmurHash3's finaliser). */
export function splitMix32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
    return (z ^ (z >>> 16)) >>> 0;
  };
}
