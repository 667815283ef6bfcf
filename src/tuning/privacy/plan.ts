// From what the spec asks for to what a private training does: sampling rate, noise, and the guarantee of it.
import { badSpec, hidesRows, type Privacy } from '../../api/index.ts';
import { epsilonOf, noiseFor } from './accountant.ts';

/** How a training hides its rows, and what that guarantees. */
export interface PrivacyPlan {
  /** Largest norm of a row's gradient. */
  readonly clipNorm: number;
  readonly noiseMultiplier: number;
  /** The probability q with which each row is in a step. */
  readonly samplingRate: number;
  /** q times rows: what a step's sum is divided by. */
  readonly expectedRows: number;
  readonly epsilon: number;
  readonly delta: number;
}

export interface TrainingExtent {
  /** All rows that are trained on. */
  readonly rows: number;
  readonly batchSize: number;
  readonly steps: number;
}

/**
 * What a private training of some extent does; undefined where the spec asks for no privacy: it is absent, or its epsilon is
 * infinity.
 * @throws OffsiteError BadSpec where delta is not below 1 / rows, or no noise gives the epsilon
 */
export function planPrivacy(
  privacy: Privacy | undefined,
  { rows, batchSize, steps }: TrainingExtent,
): PrivacyPlan | undefined {
  if (!hidesRows(privacy)) return undefined;
  const delta = privacy.delta === undefined ? usualDelta(rows) : Number(privacy.delta);
  if (delta * rows >= 1)
    throw badSpec(
      'spec.privacy.delta: is not below 1 / rows, so it would be kept by handing out a row as it is; write a smaller one, or leave it out',
    );
  const expectedRows = Math.min(rows, batchSize);
  const samplingRate = expectedRows / rows;
  const noiseMultiplier =
    privacy.noiseMultiplier === undefined
      ? noiseFor({ epsilon: Number(privacy.epsilon), delta }, { samplingRate, steps })
      : Number(privacy.noiseMultiplier);
  if (noiseMultiplier === undefined)
    throw badSpec(
      `spec.privacy.epsilon: no noise is known to give it at delta ${delta}; write a larger one, or a larger delta`,
    );
  const { epsilon } = epsilonOf({ samplingRate, noiseMultiplier, steps }, delta);
  return {
    clipNorm: Number(privacy.clipNorm),
    ...{ noiseMultiplier, samplingRate, expectedRows, epsilon, delta },
  };
}

/** The largest power of ten that is at most 1 / (10 rows). */
const usualDelta = (rows: number): number => Number(`1e-${String(10 * rows - 1).length}`);

/** The same as a manifest and a status write it: no figure promises more than there is. */
export const figuresOf = ({ clipNorm, noiseMultiplier, samplingRate, epsilon, delta }: PrivacyPlan) => ({
  epsilon: (Math.ceil(epsilon * 1e4) / 1e4).toFixed(4),
  delta: String(delta),
  noiseMultiplier: String(noiseMultiplier),
  clipNorm: String(clipNorm),
  samplingRate: String(samplingRate),
});
