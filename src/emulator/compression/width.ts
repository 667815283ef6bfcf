// Layers with fewer heads and fewer channels of the MLP; hidden states stay as wide as they are.
import type { Engine } from '../../engine/index.ts';
import { type BlockShape, linearMaps } from '../../model/index.ts';
import type { ObservationName } from '../observe/observations.ts';
import type { Compression, Given } from './compression.ts';
import { narrowed } from './narrow.ts';
import { withInputs } from './refit.ts';
import { bestOfAll, highest, type LayerCosts, sameInEach } from './unit-choice.ts';
import {
  byUnit,
  type DividedMap,
  fluctuations,
  gradientTerms,
  magnitudes,
  standardised,
  taylorTerms,
} from './unit-scores.ts';
import {
  consumers,
  costsOf,
  inputsKept,
  narrowShape,
  type PerPart,
  partOf,
  parts,
  unitsIn,
  unitsOf,
} from './units.ts';
import { storedAs, weightOf } from './weights.ts';

export interface WidthOptions {
  /** The share of the linear maps' parameters that stays, over all layers that are narrowed. */
  readonly ratio: number;
  readonly score: ScoreName;
  /** Whether the map that takes what is left is fitted to what it gave before. */
  readonly refit: boolean;
  /** Of the score gradient: how much a worse emulator counts against a truer gradient. */
  readonly lambda: number;
}

export type ScoreName = 'flap' | 'wanda' | 'taylor' | 'gradient';

/** How heads and channels are chosen. */
interface Score {
  readonly needs: readonly ObservationName[];
  /** Which maps it looks at: those that take what units give, or all that lose rows or columns. */
  readonly of: 'consumers' | 'all';
  /** Whether it is one threshold for all layers; else each keeps the same share. */
  readonly acrossLayers: boolean;
  /** What each divided row or column of a map counts. */
  terms(map: DividedMap, engine: Engine, options: WidthOptions): Float64Array | Promise<Float64Array>;
}

const scores: Readonly<Record<ScoreName, Score>> = {
  flap: {
    needs: ['inputs'],
    of: 'consumers',
    acrossLayers: true,
    terms: (map) => standardised(fluctuations(map)),
  },
  wanda: { needs: ['inputs'], of: 'consumers', acrossLayers: false, terms: magnitudes },
  taylor: { needs: ['inputs', 'gradients'], of: 'all', acrossLayers: false, terms: taylorTerms },
  gradient: {
    needs: ['inputs', 'gradients'],
    of: 'all',
    acrossLayers: false,
    terms: (map, engine, { lambda }) => gradientTerms(engine, map, lambda),
  },
};

/**
 * Heads (for grouped queries a key/value head with its query heads) and channels are left out where they matter least. What they
 * gave on average goes to the bias of the map that took it, and what the others tell of them, where that is asked for, to its
 * weights. FLAP's scores are compared over all layers, as published, the others' within a layer.
 */
export const width: Compression<WidthOptions> = {
  needs: ({ score }) => scores[score].needs,

  async plan(layers, given, options) {
    const { architecture } = given.model;
    const units = unitsOf(architecture.widths);
    const scored: (LayerCosts & { layer: number; scores: PerPart<Float64Array> })[] = [];
    for (const layer of layers)
      scored.push({
        layer,
        ...costsOf(architecture, layer),
        units,
        scores: await scoresOf(layer, given, options),
      });
    const counts = scores[options.score].acrossLayers
      ? bestOfAll(scored, options.ratio)
      : scored.map((layer) => sameInEach(layer, options.ratio));
    const shapes = scored.map(({ layer, scores }, i): [number, BlockShape | undefined] => [
      layer,
      narrowShape(architecture, layer, {
        attention: highest(scores.attention, counts[i]!.attention),
        mlp: highest(scores.mlp, counts[i]!.mlp),
      }),
    ]);
    return new Map(shapes.filter((entry): entry is [number, BlockShape] => entry[1] !== undefined));
  },

  async derive(layer, shape, { model, engine, found }, options) {
    const { architecture } = model;
    const units = unitsIn(architecture.widths, shape);
    const derived = narrowed(model, layer, units);
    const slots = architecture.block(layer);
    for (const part of parts) {
      const slot = consumers[part];
      if (!derived.has(slot)) continue;
      engine.throwIfCancelled();
      const own = slots[slot]!;
      const kept = inputsKept(architecture, slot, units);
      const w = weightOf(model, own);
      const { weight, bias } = await withInputs(engine, w, found.inputs(layer, slot), kept, options);
      const before = slots[`${slot}Bias`] && model.read(slots[`${slot}Bias`]!.name);
      derived.set(slot, storedAs(own, weight));
      derived.set(
        `${slot}Bias`,
        Float32Array.from(bias, (value, i) => (before?.[i] ?? 0) + value),
      );
    }
    return derived;
  },
};

/** What each head and each channel of a layer counts; higher ones stay. */
async function scoresOf(layer: number, given: Given, options: WidthOptions): Promise<PerPart<Float64Array>> {
  const { model, found, engine } = given;
  const { widths, cuts } = model.architecture;
  const { needs, of, terms } = scores[options.score];
  const units = unitsOf(widths);
  const sums = { attention: new Float64Array(units.attention), mlp: new Float64Array(units.mlp) };
  for (const [slot, own] of linearMaps(model.architecture.block(layer))) {
    const cut = cuts[slot];
    if (cut === undefined || (of === 'consumers' && cut.side === 'to')) continue;
    given.engine.throwIfCancelled();
    const map: DividedMap = {
      w: weightOf(model, own),
      cut,
      moments: found.inputs(layer, slot),
      ...(needs.includes('gradients') && { gradients: found.gradients(layer, slot) }),
    };
    const sum = sums[partOf(cut)];
    byUnit(await terms(map, engine, options), cut, widths, { mean: of === 'consumers' }).forEach(
      (value, unit) => {
        sum[unit]! += value;
      },
    );
  }
  return sums;
}
