// Low rank at several ratios from one derivation: the components of a smaller rank are the first of a larger one's.
import type { Overlay } from '../../model/index.ts';
import { type BlockShape, mapSize, slotsIn } from '../../model/index.ts';
import type { Emit } from '../../progress/index.ts';
import type { Given } from '../compression/compression.ts';
import { compressionOf } from '../compression/index.ts';
import { biasOf, type Means, meansOf } from '../compression/low-rank.ts';
import { weightOf } from '../compression/weights.ts';
import { type Derive, deriveBlocks } from '../derived.ts';
import type { Shapes } from '../plan/layout.ts';
import type { ProbeKey } from '../probe/states.ts';
import { none } from '../strategies/none.ts';

/** Every layer's maps in low rank, at any of several ratios. */
export interface NestedFactors {
  shapesAt(ratio: string, layers: readonly number[]): Promise<Shapes>;
  /** The tensors of blocks of these shapes, under their names in a bundle. */
  tensorsOf(shapes: Shapes): Overlay;
  /** The slots of one block of a shape, to the bits what low rank derives at its ratio. */
  readonly derive: Derive;
}

const parts = ['Left', 'Right', 'Bias'] as const;

/** A tensor of the largest ratio, and what it is cut to. */
interface Cut {
  readonly is: (typeof parts)[number];
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
  const known = new Map<string, Means>();
  return {
    shapesAt: (ratio, layers) => compressionOf({ type: 'lowRank', ratio }).plan(layers, { ...given, plan }),
    tensorsOf(shapes) {
      const cuts = new Map<string, Cut>();
      for (const [layer, shape] of shapes) {
        const slots = slotsIn(architecture, layer, shape);
        for (const [slot, cut] of cutsOf(layer, shape)) cuts.set(slots[slot]!.name, cut);
      }
      return {
        has: (name) => cuts.has(name),
        get(name, into) {
          const cut = cuts.get(name);
          if (cut === undefined) return undefined;
          const values = cutTo(cut);
          into?.set(values);
          return into ?? values;
        },
      };
    },
    derive: async (layer, shape) => new Map(cutsOf(layer, shape).map(([slot, cut]) => [slot, cutTo(cut)])),
  };

  function cutTo({ is, layer, slot, rank }: Cut): Float32Array {
    const whole = (part: Cut['is']) => derived.read(nameOf(layer, slot, part));
    const { to, from } = mapSize(architecture.block(layer)[slot]!);
    if (is === 'Right') return whole('Right').slice(0, rank * from);
    const left = whole('Left');
    return is === 'Left' ? firstColumns(left, to, rank) : biasOf(meansAt(layer, slot), left, rank);
  }

  function nameOf(layer: number, slot: string, part: Cut['is']): string {
    return slotsIn(architecture, layer, derived.shapes.get(layer)!)[`${slot}${part}`]!.name;
  }

  /** What each component gives in the mean is asked again at each ratio. */
  function meansAt(layer: number, slot: string): Means {
    const slots = architecture.block(layer);
    const found = known.get(`${layer} ${slot}`);
    if (found !== undefined) return found;
    const bias = slots[`${slot}Bias`];
    const means = meansOf(
      weightOf(given.model, slots[slot]!),
      derived.read(nameOf(layer, slot, 'Right')),
      given.found.inputs(layer, slot).mean,
      bias && given.model.read(bias.name),
    );
    known.set(`${layer} ${slot}`, means);
    return means;
  }
}

/** The slots of a block in low rank, and how each is cut. */
function cutsOf(layer: number, { maps = {} }: BlockShape): [slot: string, cut: Cut][] {
  return Object.entries(maps).flatMap(([slot, form]) => {
    if (form.is !== 'factors') throw new Error(`${slot} is ${form.is}, not factors`);
    const { rank } = form;
    return parts.map((is): [string, Cut] => [`${slot}${is}`, { is, layer, slot, rank }]);
  });
}

/** The first columns of a matrix [rows, ...], row-major. */
function firstColumns(whole: Float32Array, rows: number, count: number): Float32Array {
  const width = whole.length / rows;
  const cut = new Float32Array(rows * count);
  for (let row = 0; row < rows; row++) cut.set(whole.subarray(row * width, row * width + count), row * count);
  return cut;
}
