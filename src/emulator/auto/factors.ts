// Low rank at several ratios from one derivation: the components of a smaller rank are the first of a larger one's.
import type { Overlay } from '../../model/index.ts';
import { linearMaps, mapSize, slotsIn } from '../../model/index.ts';
import type { Emit } from '../../progress/index.ts';
import type { Given } from '../compression/compression.ts';
import { compressionOf } from '../compression/index.ts';
import { type Derived, deriveBlocks } from '../derived.ts';
import type { Shapes } from '../plan/layout.ts';
import type { ProbeKey } from '../probe/states.ts';
import { none } from '../strategies/none.ts';

/** Every layer's maps in low rank, at any of several ratios. */
export interface NestedFactors {
  shapesAt(ratio: string, layers: readonly number[]): Promise<Shapes>;
  /** The tensors of blocks of these shapes, under their names in a bundle. */
  tensorsOf(shapes: Shapes): Overlay;
}

/** A tensor of the largest ratio, and what it is cut to. */
interface Cut {
  readonly is: 'left' | 'right' | 'bias';
  readonly layer: number;
  readonly slot: string;
  readonly rank: number;
}

/**
 * Derives the factors of all layers at one ratio, the largest.
 * @param own a directory of this resource alone, where they are kept layer by layer
 */
export async function nestedFactors(
  own: string,
  given: Omit<Given, 'plan'>,
  ratio: string,
  { probed, emit }: { probed: ProbeKey; emit: Emit },
): Promise<NestedFactors> {
  const { architecture } = given.model;
  const all = Array.from({ length: architecture.depth }, (_, layer) => layer);
  const kept = none({ adjacent: new Array<number>(architecture.depth - 1).fill(0) }, architecture.depth);
  const plan = { ...kept, transferLayers: [], source: all };
  const derived = await deriveBlocks(own, { ...given, plan }, { type: 'lowRank', ratio }, { probed, emit });
  const tails = meansOfComponents(derived, given);
  return {
    shapesAt: (ratio, layers) => compressionOf({ type: 'lowRank', ratio }).plan(layers, { ...given, plan }),
    tensorsOf(shapes) {
      const cuts = new Map<string, Cut>();
      for (const [layer, shape] of shapes) {
        const slots = slotsIn(architecture, layer, shape);
        for (const [slot, form] of Object.entries(shape.maps ?? {})) {
          if (form.is !== 'factors') throw new Error(`${slot} is ${form.is}, not factors`);
          const cut = { layer, slot, rank: form.rank };
          cuts.set(slots[`${slot}Left`]!.name, { is: 'left', ...cut });
          cuts.set(slots[`${slot}Right`]!.name, { is: 'right', ...cut });
          cuts.set(slots[`${slot}Bias`]!.name, { is: 'bias', ...cut });
        }
      }
      return {
        has: (name) => cuts.has(name),
        get(name, into) {
          const cut = cuts.get(name);
          if (cut === undefined) return undefined;
          const values = cutTo(name, cut);
          into?.set(values);
          return into ?? values;
        },
      };
    },
  };

  function cutTo(name: string, { is, layer, slot, rank }: Cut): Float32Array {
    const whole = derived.read(name);
    const own = architecture.block(layer)[slot]!;
    const { to, from } = mapSize(own);
    if (is === 'right') return whole.subarray(0, rank * from);
    if (is === 'left') return firstColumns(whole, to, rank);
    const left = derived.read(leftName(layer, slot));
    return withoutMeans(whole, left, tails.get(`${layer} ${slot}`)!, rank);
  }

  function leftName(layer: number, slot: string): string {
    return slotsIn(architecture, layer, derived.shapes.get(layer)!)[`${slot}Left`]!.name;
  }
}

/** Right E[x] of each map, by layer and slot: what each component gives in the mean. */
function meansOfComponents(
  { shapes, read }: Derived,
  { model: { architecture }, found, engine }: Omit<Given, 'plan'>,
): ReadonlyMap<string, Float64Array> {
  const means = new Map<string, Float64Array>();
  for (const [layer, shape] of shapes) {
    engine.throwIfCancelled();
    const slots = slotsIn(architecture, layer, shape);
    for (const [slot] of linearMaps(architecture.block(layer))) {
      const { mean } = found.inputs(layer, slot);
      const right = read(slots[`${slot}Right`]!.name);
      const from = mean.length;
      means.set(
        `${layer} ${slot}`,
        Float64Array.from({ length: right.length / from }, (_, component) => {
          let sum = 0;
          for (let i = 0; i < from; i++) sum += right[component * from + i]! * mean[i]!;
          return sum;
        }),
      );
    }
  }
  return means;
}

/** The first columns of a matrix [rows, ...], row-major. */
function firstColumns(whole: Float32Array, rows: number, count: number): Float32Array {
  const width = whole.length / rows;
  const cut = new Float32Array(rows * count);
  for (let row = 0; row < rows; row++) cut.set(whole.subarray(row * width, row * width + count), row * count);
  return cut;
}

/** The bias that takes also what the components from `rank` on gave in the mean. */
function withoutMeans(
  bias: Float32Array,
  left: Float32Array,
  means: Float64Array,
  rank: number,
): Float32Array {
  const width = means.length;
  return Float32Array.from(bias, (value, o) => {
    let sum = value;
    for (let k = rank; k < width; k++) sum += left[o * width + k]! * means[k]!;
    return sum;
  });
}
