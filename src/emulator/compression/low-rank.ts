// Linear maps as products of two narrower ones, chosen by what their inputs are.
import { linearMaps, type MapForm, mapSize, type Slot } from '../../model/index.ts';
import { firstRows, type Matrix, multiplyBlocks } from '../algebra/matrix.ts';
import type { InputMoments } from '../observe/observations.ts';
import { leadingBasis, orthonormalBasis, outputComponents, spreadOf } from './components.ts';
import type { Compression, Given } from './compression.ts';
import { gradientScores, keptByScore } from './gradient-score.ts';
import { rankOf, sharesByLoss } from './ratios.ts';
import { weightOf } from './weights.ts';

export interface LowRankOptions {
  /** The share of the linear maps' parameters that stays. */
  readonly ratio: number;
  /** The same for every map, or more for those that would lose more. */
  readonly ratios: 'uniform' | 'loss';
  /** Kept are the components of the largest outputs, or those that GradOT's score would miss most. */
  readonly select: 'sigma' | 'gradient';
  /** Of a selection by gradient: how much a worse emulator counts against a truer gradient. */
  readonly lambda: number;
}

/**
 * Every linear map W becomes Left Right of a lower rank, Left's columns orthonormal directions U among the outputs and Right =
 * U^T W, and its bias takes what is lost on the mean input, so that outputs keep their mean.
 */
export const lowRank: Compression<LowRankOptions> = {
  needs: ({ select }) => (select === 'gradient' ? ['inputs', 'gradients'] : ['inputs']),

  async plan(layers, given, options) {
    const ranks = await ranksOf(layers, given, options);
    return new Map(
      layers.map((layer) => {
        const slots = given.model.architecture.block(layer);
        const maps = linearMaps(slots).map(([slot]): [string, MapForm] => [
          slot,
          { is: 'factors', rank: ranks.get(key(layer, slot))! },
        ]);
        const biases = maps.map(([slot]) => slot).filter((slot) => slots[`${slot}Bias`] === undefined);
        return [layer, { maps: Object.fromEntries(maps), biases }];
      }),
    );
  },

  async derive(layer, { maps = {} }, given, options) {
    const slots = given.model.architecture.block(layer);
    const derived = new Map<string, Float32Array>();
    for (const [slot, form] of Object.entries(maps)) {
      given.engine.throwIfCancelled();
      if (form.is !== 'factors') throw new Error(`${slot} is ${form.is}, not factors`);
      const own = slots[slot]!;
      const w = weightOf(given.model, own);
      const moments = given.found.inputs(layer, slot);
      const basis = await basisOf(layer, slot, w, moments, form.rank, given, options);
      const left = turned(basis, form.rank);
      const right = new Float32Array(firstRows(await multiplyBlocks(given.engine, basis, w), form.rank).data);
      const bias = slots[`${slot}Bias`];
      const before = bias === undefined ? undefined : given.model.read(bias.name);
      const means = meansOf(w, right, moments.mean, before);
      derived.set(`${slot}Left`, left);
      derived.set(`${slot}Right`, right);
      derived.set(`${slot}Bias`, biasOf(means, left, form.rank));
    }
    return derived;
  },
};

const key = (layer: number, slot: string) => `${layer} ${slot}`;

/** The rank of each map, by layer and slot. */
async function ranksOf(
  layers: readonly number[],
  given: Given,
  { ratio, ratios }: LowRankOptions,
): Promise<Map<string, number>> {
  const ranks = new Map<string, number>();
  const losses = new Map<string, { key: string; own: Slot; loss: number }[]>();
  for (const layer of layers)
    for (const [slot, own] of linearMaps(given.model.architecture.block(layer))) {
      const rank = rankOf(mapSize(own), ratio);
      if (ratios === 'uniform') ranks.set(key(layer, slot), rank);
      else {
        given.engine.throwIfCancelled();
        const loss = await lossOf(layer, slot, own, rank, given);
        losses.set(slot, [...(losses.get(slot) ?? []), { key: key(layer, slot), own, loss }]);
      }
    }
  for (const group of losses.values()) {
    const shares = sharesByLoss(
      group.map(({ loss }) => loss),
      ratio,
    );
    group.forEach(({ key, own }, i) => {
      ranks.set(key, rankOf(mapSize(own), shares[i]!));
    });
  }
  return ranks;
}

/** The Frobenius norm of the outputs' error, over all tokens, at a rank. */
async function lossOf(layer: number, slot: string, own: Slot, rank: number, given: Given): Promise<number> {
  const moments = given.found.inputs(layer, slot);
  const { energies } = await outputComponents(given.engine, weightOf(given.model, own), spreadOf(moments), 0);
  const cut = energies.subarray(rank).reduce((sum, energy) => sum + energy, 0);
  return Math.sqrt(moments.tokens * cut);
}

/** Orthonormal directions among a map's outputs, [rank or more, to]. */
async function basisOf(
  layer: number,
  slot: string,
  w: Matrix,
  moments: InputMoments,
  rank: number,
  { engine, found }: Given,
  { select, lambda }: LowRankOptions,
): Promise<Matrix> {
  const spread = spreadOf(moments);
  if (select === 'sigma') return leadingBasis(engine, w, spread, rank);
  const { directions } = await outputComponents(engine, w, spread, Math.min(w.rows, w.columns));
  const gradients = found.gradients(layer, slot);
  const scores = await gradientScores(engine, w, directions, moments, gradients, lambda);
  return orthonormalBasis(engine, directions, keptByScore(scores, rank), rank);
}

/** The first `rank` rows as columns, in float32. */
function turned({ columns, data }: Matrix, rank: number): Float32Array {
  const left = new Float32Array(columns * rank);
  for (let r = 0; r < rank; r++)
    for (let o = 0; o < columns; o++) left[o * rank + r] = data[r * columns + o]!;
  return left;
}

/** What a map gives in the mean. */
export interface Means {
  /** b + W E[x], [to]. */
  readonly outputs: Float64Array;
  /** Right E[x], what each component gives, [rank]. */
  readonly components: Float64Array;
}

/** @param before the map's own bias, if it has one */
export function meansOf(
  w: Matrix,
  right: Float32Array,
  mean: Float64Array,
  before: Float32Array | undefined,
): Means {
  const from = mean.length;
  const outputs = new Float64Array(w.rows);
  for (let o = 0; o < w.rows; o++) {
    let sum = before?.[o] ?? 0;
    for (let i = 0; i < from; i++) sum += w.data[o * from + i]! * mean[i]!;
    outputs[o] = sum;
  }
  const components = new Float64Array(right.length / from);
  for (let r = 0; r < components.length; r++) {
    let sum = 0;
    for (let i = 0; i < from; i++) sum += right[r * from + i]! * mean[i]!;
    components[r] = sum;
  }
  return { outputs, components };
}

/**
 * The bias with which the outputs' mean is what it was: b + W E[x] - Left (Right E[x]), of the factors as they are stored.
 * @param left [to, rank] or wider, of which the first `rank` columns count
 */
export function biasOf({ outputs, components }: Means, left: Float32Array, rank: number): Float32Array {
  const width = left.length / outputs.length;
  const bias = new Float32Array(outputs.length);
  for (let o = 0; o < bias.length; o++) {
    let sum = outputs[o]!;
    for (let r = 0; r < rank; r++) sum -= left[o * width + r]! * components[r]!;
    bias[o] = sum;
  }
  return bias;
}
