// Linear maps as products of two narrower ones, chosen by what their inputs are.
import { linearMaps, type MapForm, mapSize, type Slot } from '../../model/index.ts';
import { type Matrix, multiply, transposed } from '../algebra/matrix.ts';
import type { InputMoments } from '../observe/observations.ts';
import { orthonormalBasis, outputComponents, spreadOf } from './components.ts';
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
      const left = Float32Array.from(transposed(basis).data);
      const right = Float32Array.from((await multiply(given.engine, basis, w)).data);
      const bias = slots[`${slot}Bias`];
      const before = bias === undefined ? new Float32Array(w.rows) : given.model.read(bias.name);
      derived.set(`${slot}Left`, left);
      derived.set(`${slot}Right`, right);
      derived.set(`${slot}Bias`, meanKept(w, left, right, moments.mean, before));
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

/** Orthonormal directions among a map's outputs, [rank, to]. */
async function basisOf(
  layer: number,
  slot: string,
  w: Matrix,
  moments: InputMoments,
  rank: number,
  { engine, found }: Given,
  { select, lambda }: LowRankOptions,
): Promise<Matrix> {
  const all = select === 'gradient';
  const count = all ? Math.min(w.rows, w.columns) : rank;
  const { directions } = await outputComponents(engine, w, spreadOf(moments), count);
  if (!all) return orthonormalBasis(engine, directions, [...Array(directions.rows).keys()], rank);
  const gradients = found.gradients(layer, slot);
  const scores = await gradientScores(engine, w, directions, moments, gradients, lambda);
  return orthonormalBasis(engine, directions, keptByScore(scores, rank), rank);
}

/** The bias with which the outputs' mean is what it was: b + W mean - Left (Right mean), of the factors as they are stored. */
function meanKept(
  w: Matrix,
  left: Float32Array,
  right: Float32Array,
  mean: Float64Array,
  before: Float32Array,
): Float32Array {
  const [to, from] = [w.rows, w.columns];
  const rank = right.length / from;
  const narrow = new Float64Array(rank);
  for (let r = 0; r < rank; r++) for (let i = 0; i < from; i++) narrow[r]! += right[r * from + i]! * mean[i]!;
  return Float32Array.from({ length: to }, (_, o) => {
    let sum = before[o]!;
    for (let i = 0; i < from; i++) sum += w.data[o * from + i]! * mean[i]!;
    for (let r = 0; r < rank; r++) sum -= left[o * rank + r]! * narrow[r]!;
    return sum;
  });
}
