// LoRA beside every linear map of every layer, by which gradients of models of different shapes are compared.
import { Random } from '../../data/index.ts';
import { type Architecture, linearMaps, mapSize, type Slots, type Weights } from '../../model/index.ts';

const rank = 8;
const seed = 42;
/** Streams of a layer's draws. */
const streams = 64;

/** y + B A x beside a layer's maps: A is drawn, B begins at zero. */
export interface LayerProbes {
  readonly slots: Slots;
  readonly weights: Weights;
  /** The slots of the Bs. */
  readonly trained: readonly string[];
}

/**
 * The modules of each layer. dL/dB = (dL/dW) A^T at B = 0: the first gradient of the data owner's LoRA, and of a layer that trains as a
 * whole a random projection of its maps' gradients, which keeps their angles but for chance (Johnson and Lindenstrauss).
 */
export function layerProbes(architecture: Architecture): LayerProbes[] {
  return Array.from({ length: architecture.depth }, (_, layer) => {
    const maps = linearMaps(architecture.block(layer));
    const slots: Record<string, Slots[string]> = {};
    const weights: Record<string, Float32Array> = {};
    for (const [place, [slot, own]] of maps.entries()) {
      const { to, from } = mapSize(own);
      const random = new Random(seed, layer * streams + place);
      const bound = 1 / Math.sqrt(from);
      slots[`${slot}A`] = { name: `${own.name} A`, shape: [rank, from] };
      slots[`${slot}B`] = { name: `${own.name} B`, shape: [to, rank] };
      weights[`${slot}A`] = Float32Array.from(
        { length: rank * from },
        () => bound * (random.next() / 2 ** 31 - 1),
      );
      weights[`${slot}B`] = new Float32Array(to * rank);
    }
    return { slots, weights, trained: maps.map(([slot]) => `${slot}B`) };
  });
}

/** A gradient: by layer the Bs' of its maps. */
export type Gradient = ReadonlyMap<number, Weights>;

/** The cosine of a gradient of some layers, zero elsewhere, and of one of all; 0 where one has none, or none that is finite. */
export function cosine(some: Gradient, all: Gradient): number {
  let [product, ofA, ofB] = [0, 0, 0];
  for (const [layer, weights] of all)
    for (const [slot, values] of Object.entries(weights)) {
      const own = some.get(layer)?.[slot];
      for (let i = 0; i < values.length; i++) {
        const [x, y] = [own?.[i] ?? 0, values[i]!];
        product += x * y;
        ofA += x * x;
        ofB += y * y;
      }
    }
  const value = product / Math.sqrt(ofA * ofB);
  return Number.isFinite(value) ? value : 0;
}
