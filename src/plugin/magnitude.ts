// The plausibility check of a trained change: no weight beyond its type, none far beyond its layer.
import { badModel } from '../api/index.ts';
import type { Checkpoint, DType } from '../checkpoint/index.ts';
import type { Model, Slots } from '../model/index.ts';
import { addProduct, type Change, type LowRank, productSize, sizeUncancelled } from '../tuning/index.ts';
import { checkFactors, type Factor, type FactorPair } from './factors.ts';
import type { Origin } from './origin.ts';

/**
 * How many times the size of its layer's weights a change may have, as root mean squares. AdamW moves a weight by at most
 * learning rate times steps, with published settings a fraction of the weights' own size; a hundred times that size leaves
 * nothing of the model.
 */
export const largestChange = 100;

/** The largest number of the types that end before float32 does. */
const largestNumber: Readonly<Partial<Record<DType, number>>> = { F16: 65504, BF16: 3.3895313892515355e38 };

/** Every weight is read and run as float32. */
const largestFloat32 = 3.4028234663852886e38;

/** What an adapter changes at one place: a layer, or the head. */
export interface ChangedPlace {
  /** The weights there are of it; a bundle may hold a linear map in other parts. */
  readonly slots: Slots;
  /** The full model's own. */
  readonly full: Slots;
  readonly changes: readonly Change[];
}

/**
 * Whether what came back could have been trained at all: each weight that it comes to must be a number of the type that the
 * model stores it in, and no change may be far larger than the weights of its layer. Of a weight that is not at hand the change
 * alone is looked at. Nothing is made whole of a size that only a model's config.json tells: a partner's small files may claim
 * any. Factors are looked at as their product, and each by itself.
 * @param values of the adapter's tensors
 * @throws OffsiteError BadModel naming the weight, its change and the bound
 */
export function checkMagnitude(
  origin: Origin,
  places: Iterable<ChangedPlace>,
  values: Pick<Checkpoint, 'read'>,
  model: Pick<Model, 'tensors' | 'read'>,
): void {
  for (const { slots, full, changes } of places) {
    const layer = layerOf(model, slots);
    for (const change of changes) {
      const stored = change.inserted === undefined ? storedAt(change.slot, slots, full) : undefined;
      const dtype = (stored !== undefined && model.tensors.get(stored)?.dtype) || 'F32';
      const faultOf = (measured: Measured) => fault(origin, change.name, { ...measured, dtype, layer });
      const product = productOf(change, values);
      const bound = product && boundOf(product, stored === undefined ? 0 : layer.largest.get(stored)!);
      if (bound === undefined || faultOf(bound) !== undefined) {
        const base = stored === undefined ? undefined : model.read(stored);
        const found = faultOf(
          base === undefined && bound !== undefined ? bound : changeOf(product ?? change, values, base),
        );
        if (found !== undefined) throw badModel(found);
      }
      if (product === undefined) continue;
      refuseCancelling(origin, change.name, product, layer);
      checkFactors(origin, product, change.name);
    }
  }
}

/** A change that is held as factors, and what their product counts. */
interface Product extends LowRank, FactorPair {
  readonly rank: number;
}

function productOf({ tensors, factors }: Change, values: Pick<Checkpoint, 'read'>): Product | undefined {
  if (factors === undefined) return undefined;
  const [a, b] = tensors.map(({ name }) => ({ name, values: values.read(name) })) as [Factor, Factor];
  return { ...factors.product([a.values, b.values]), a, b, scale: factors.scale };
}

/**
 * Factors that cancel each other make a product that says nothing of what they do when they run one after the other. Those that
 * do not, each at right angles to the others, come to sqrt(rank) times the size of their product at most.
 */
function refuseCancelling(
  { name, remedy }: Origin,
  weight: string,
  { scale, ...product }: Product,
  layer: Layer,
): void {
  const size = sizeUncancelled(product, scale) / Math.sqrt(product.rows * product.columns);
  const times = size / (layer.size.rootMeanSquare || 1);
  const most = largestChange * Math.sqrt(product.rank);
  if (times <= most) return;
  throw badModel(
    `${name}: the factors of its change of ${weight} come to ${times.toPrecision(3)} times the weights of its layer (root mean squares) where nothing of them cancels; at most ${most.toPrecision(3)} times is taken: ${remedy(weight)}`,
  );
}

interface Judged extends Measured {
  readonly dtype: DType;
  readonly layer: Layer;
}

/** What is wrong with a change of a weight, if anything is. */
function fault(
  { name, remedy }: Origin,
  weight: string,
  { size, largest, dtype, layer }: Judged,
): string | undefined {
  if (!(largest <= largestFloat32))
    return `${name}: its change of ${weight} is not finite; ${remedy(weight)}`;
  const most = largestNumber[dtype];
  if (most !== undefined && largest > most)
    return `${name}: its change of ${weight} holds a value that is too large for the model's ${dtype}; ${remedy(weight)}`;
  const times = size.rootMeanSquare / (layer.size.rootMeanSquare || 1);
  if (!(times <= largestChange))
    return `${name}: its change of ${weight} is ${times.toPrecision(3)} times as large as the weights of its layer (root mean squares); at most ${largestChange} times is taken: ${remedy(weight)}`;
  return undefined;
}

/** How large a layer's own weights are: all together, and the largest absolute value of each. */
interface Layer {
  readonly size: Size;
  readonly largest: ReadonlyMap<string, number>;
}

/** Each is looked at once: the adapters of many parties stand beside the same ones. */
const layersOf = new WeakMap<Pick<Model, 'read'>, Map<string, Layer>>();

function layerOf(model: Pick<Model, 'read'>, slots: Slots): Layer {
  const known = layersOf.get(model) ?? new Map<string, Layer>();
  layersOf.set(model, known);
  const names = Object.values(slots).map(({ name }) => name);
  const key = names.join('\n');
  const found = known.get(key) ?? lookAt(model, names);
  known.set(key, found);
  return found;
}

function lookAt({ read }: Pick<Model, 'read'>, names: readonly string[]): Layer {
  const size = new Size();
  const largest = new Map<string, number>();
  for (const name of names) {
    const weights = read(name);
    size.add(weights);
    largest.set(name, largestOf(weights));
  }
  return { size, largest };
}

/** How large a change is, and the largest absolute value of the weight that it comes to. */
interface Measured {
  readonly size: Size;
  readonly largest: number;
}

/**
 * What a change of small factors is at most, without its elements: nearly all are far below what is taken.
 * @param base the largest absolute value of the weight that is changed, 0 where it is not at hand
 */
function boundOf({ scale, ...product }: Product, base: number): Measured | undefined {
  if (!isSmaller(product)) return undefined;
  const { squares, largest } = productSize(product, scale);
  return { size: new Size(squares, product.rows * product.columns), largest: base + largest };
}

/** @param base the weight that is changed, where it is at hand */
function changeOf(
  change: Change | Product,
  values: Pick<Checkpoint, 'read'>,
  base: Float32Array | undefined,
): Measured {
  if ('tensors' in change) {
    const { name, shape } = change.tensors[0]!;
    return byRows(shape, base, (rows) => values.read(name, { rows }));
  }
  const { left, right, rows, columns, rank, scale } = change;
  return byRows([rows, columns], base, ([from, to], some) => {
    const weight = some?.slice() ?? new Float32Array((to - from) * columns);
    const part = { left: left.subarray(from * rank, to * rank), right, rows: to - from, columns, rank };
    addProduct(weight, part, scale);
    return weight;
  });
}

/** Whether the factors have fewer numbers than their product. */
const isSmaller = ({ rows, columns, rank }: LowRank) => rank * (rows + columns) < rows * columns;

/** Numbers of a change that are there at a time, in whole rows. */
const numbersAtOnce = 1 << 20;

/** @param weight some rows of what a weight comes to, out of those rows of the base */
function byRows(
  shape: readonly number[],
  base: Float32Array | undefined,
  weight: (rows: readonly [from: number, to: number], base: Float32Array | undefined) => Float32Array,
): Measured {
  const size = new Size();
  let largest = 0;
  const rows = shape[0] ?? 1;
  const columns = shape.slice(1).reduce((a, b) => a * b, 1);
  const atOnce = Math.max(1, Math.floor(numbersAtOnce / columns));
  for (let from = 0; from < rows; from += atOnce) {
    const to = Math.min(rows, from + atOnce);
    const before = base?.subarray(from * columns, to * columns);
    const now = weight([from, to], before);
    size.add(now, before);
    largest = largestOf(now, largest);
  }
  return { size, largest };
}

/** The largest absolute value; one that is no number stays, since Math.max of it is none. */
function largestOf(values: Float32Array, before = 0): number {
  let largest = before;
  for (let i = 0; i < values.length; i++) largest = Math.max(largest, Math.abs(values[i] as number));
  return largest;
}

/** The weight that is at hand of a slot; a narrower one is not it. */
const storedAt = (slot: string, slots: Slots, full: Slots): string | undefined =>
  slots[slot]?.shape.join() === full[slot]?.shape.join() ? slots[slot]?.name : undefined;

/** Of weights, or of differences, summed in float64, where squares of float32 do not overflow. */
class Size {
  #squares: number;
  #count: number;

  constructor(squares = 0, count = 0) {
    this.#squares = squares;
    this.#count = count;
  }

  add(values: Float32Array, less?: Float32Array): this {
    for (let i = 0; i < values.length; i++) {
      const value = (values[i] as number) - (less === undefined ? 0 : (less[i] as number));
      this.#squares += value * value;
    }
    this.#count += values.length;
    return this;
  }

  get rootMeanSquare(): number {
    return Math.sqrt(this.#squares / Math.max(1, this.#count));
  }
}
