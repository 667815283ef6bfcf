// An optimiser step over all trained parts: gradients, clipping, update.
import { badModel } from '../api/index.ts';
import type { PackedBatch } from '../data/index.ts';
import type { Decoder, Site, Weights } from '../model/index.ts';
import { type GradientOptions, gradientStep } from './gradient-step.ts';
import { type AdamWOptions, adamW, clipScale, globalNorm } from './optimiser.ts';
import { type HiddenRows, type PartGradients, privateGradients } from './private-gradients.ts';
import type { SparseChange } from './sparse-change.ts';
import type { TrainedTensor, TrainingState } from './state.ts';

/** What trains at one site of a decoder. */
export interface Trainable {
  readonly tensors: readonly TrainedTensor[];
  /** What runs there because of them. */
  readonly training: {
    /** Whose gradients `gradients` takes. */
    readonly slots: readonly string[];
    /** dL/d(tensors), in their order, out of dL/d(weights). */
    gradients(weights: Weights): Float32Array[];
    /** Brings the weights up to the tensors. */
    update(): void;
  };
}

export interface OptimiserStep extends Omit<GradientOptions, 'sumAt'> {
  /** Several sites may have one part: they run the same weights. */
  readonly parts: ReadonlyMap<Site, Trainable>;
  readonly learningRate: number;
  /** The field of the spec that sets it. */
  readonly rateField: string;
  /** What else may be at fault where there are no numbers, as the error names it. */
  readonly suspect?: string | undefined;
  readonly clipNorm: number;
  readonly adam: AdamWOptions;
  /** Hides the rows; the batches are then of one row each, and `clipNorm` counts for nothing. */
  readonly hidden?: HiddenRows | undefined;
  /** Draws what trains to where it changes nothing; absent where nothing does. */
  readonly sparse?: SparseChange | undefined;
}

/**
 * One step of the optimiser. The state changes only after all gradients are there, so that a stop leaves it whole.
 * @returns the loss before it; NaN of a step without a token to predict
 * @throws OffsiteError BadModel where loss or gradient is not finite; of a step that hides its rows, where what it has made is not
 */
export async function optimiserStep(
  decoder: Decoder,
  batches: readonly PackedBatch[],
  { record }: TrainingState,
  { parts, learningRate, rateField, suspect, clipNorm, adam, hidden, sparse, ...options }: OptimiserStep,
): Promise<number> {
  const gradientsOf = (of: readonly PackedBatch[]) => partGradients(decoder, of, parts, options);
  const notFinite = (what: string) =>
    badModel(
      `step ${record.step + 1}: the ${what} is not finite; lower ${rateField}${suspect === undefined ? '' : `, or look at ${suspect}`}`,
    );
  let [loss, scale] = [Number.NaN, 1];
  let gradients: PartGradients<Trainable>;
  if (hidden === undefined) {
    ({ loss, gradients } = await gradientsOf(batches));
    const norm = globalNorm([...gradients.values()].flat());
    if (!Number.isFinite(loss)) throw notFinite('loss');
    if (!Number.isFinite(norm)) throw notFinite('gradient');
    scale = clipScale(norm, clipNorm);
    if (batches.every(({ targets }) => targets.length === 0)) loss = Number.NaN;
  } else {
    const found = await privateGradients(batches, new Set(parts.values()), record.step, {
      hidden,
      gradientsOf: (row) => gradientsOf([row]),
    });
    ({ loss, gradients } = found);
    const { taken, clipped, notFinite = 0 } = record.rows ?? { taken: 0, clipped: 0 };
    const zeros = notFinite + found.notFinite;
    record.rows = {
      ...{ taken: taken + found.taken, clipped: clipped + found.clipped },
      ...(zeros > 0 && { notFinite: zeros }),
    };
  }
  for (const part of new Set(parts.values())) {
    const { tensors, training } = part;
    tensors.forEach((tensor, i) => {
      const gradient = gradients.get(part)![i]!;
      adamW(tensor.values, gradient, tensor, record.step + 1, learningRate, scale, adam);
      sparse?.draw(tensor, learningRate);
      // What noise has hidden may be looked at, and end a training whose rows would all count as zero from here on.
      if (hidden !== undefined && !tensor.values.every(Number.isFinite)) throw notFinite(tensor.name);
    });
    training.update();
  }
  record.step += 1;
  record.tokens += batches.reduce((sum, batch) => sum + batch.tokens, 0);
  record.losses.push(loss);
  return loss;
}

/** Loss and gradients of a whole step; parts in the order of their first sites. */
export async function partGradients(
  decoder: Decoder,
  batches: readonly PackedBatch[],
  parts: ReadonlyMap<Site, Trainable>,
  options: Omit<GradientOptions, 'sumAt'>,
): Promise<{ loss: number; gradients: PartGradients<Trainable> }> {
  const trained = new Map(
    [...parts].flatMap(([site, { training }]) => (site === 'head' ? [] : [[site, training.slots] as const])),
  );
  const firstSites = new Map<Trainable, Site>();
  for (const [site, part] of parts) if (!firstSites.has(part)) firstSites.set(part, site);
  const { loss, gradients } = await gradientStep(decoder, batches, trained, {
    ...options,
    sumAt: (position) => firstSites.get(parts.get(position)!) as number,
  });
  return {
    loss,
    gradients: new Map(
      [...gradients].map(([site, weights]) => {
        const part = parts.get(site)!;
        return [part, part.training.gradients(weights)];
      }),
    ),
  };
}
