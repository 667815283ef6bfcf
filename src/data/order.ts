// The order in which training takes its rows: shuffled each epoch, and resumable from a cursor.
import { Random } from './random.ts';

/** Where training stands in its data: `index` rows of `epoch` have been taken. With the seed it is all there is to know. */
export interface Cursor {
  readonly epoch: number;
  readonly index: number;
}

/** The order of an epoch's rows: a permutation of 0..count-1 that follows from seed and epoch alone. */
export function epochOrder(count: number, seed: number, epoch: number): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, place) => place);
  return new Random(seed, epoch).shuffle(order);
}

/** Hands out the rows of each optimiser step. A step ends with its epoch, so that no row stands in it twice. */
export class DataOrder {
  readonly count: number;
  readonly seed: number;
  private current: { epoch: number; order: Uint32Array } | undefined;

  constructor(count: number, seed: number) {
    this.count = count;
    this.seed = seed;
  }

  /** How many steps an epoch has. */
  stepsPerEpoch(batchSize: number): number {
    return Math.ceil(this.count / batchSize);
  }

  /** Up to `batchSize` places of rows from the cursor on, and the cursor after them. */
  take(cursor: Cursor, batchSize: number): { places: number[]; cursor: Cursor } {
    const { epoch, index } = cursor.index < this.count ? cursor : { epoch: cursor.epoch + 1, index: 0 };
    const places = [...this.orderOf(epoch).subarray(index, index + batchSize)];
    return { places, cursor: { epoch, index: index + places.length } };
  }

  private orderOf(epoch: number): Uint32Array {
    if (this.current?.epoch !== epoch)
      this.current = { epoch, order: epochOrder(this.count, this.seed, epoch) };
    return this.current.order;
  }
}
